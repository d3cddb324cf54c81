/* A libamd_smi.so for tests, as the packages `amdsmi` of ROCm 6.4 and 7.0 call it. What it does not answer, and they look
 * for, the tests add as functions that are not supported. The file named by FAKE_AMDSMI holds one line per GPU, read
 * again at every call, so a test changes a GPU while it is being metered:
 *     address [key=value ...]
 * The address is that on PCI, 0000:c1:00.0. What may follow, in any order; what is not given is not supported, or 0:
 *     name=TEXT         _ stands for a space          serial=HEX      its unique number
 *     device=HEX        PCI device                    arch=HEX        90a stands for gfx90a
 *     hip=N             its place in HIP's order
 *     energy=N          its counter, in units of `unit`, which is given in uJ (15.3)
 *     watts=W start=S tick_ms=T wraps=N
 *                       draws W since S on the monotonic clock: the counter, which began at `energy`, holds what was
 *                       drawn at its last tick (1 ms), in units of 2^-16 J, and wraps around at N
 *     current=W average=W                             its two powers; 65535: not told
 *     edge=C hot=C clock=MHz cap_uw=N driver=TEXT     conditions
 *     processes=PID:BYTES,...                         that use it
 *     refused=CODE      what its counter is not read for, instead of not being supported
 *     lost=CODE         every question about it but its address gives CODE
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_GPUS 16
#define MAX_PROCESSES 8
enum { OK = 0, INVALID = 1, NOT_SUPPORTED = 2 };
enum { EDGE = 0, HOTSPOT = 1, CLOCK_GFX = 0 };

typedef struct {
    unsigned domain, bus, device_number, function;
    char name[80], serial[80], driver[80], processes[200];
    double energy, unit, watts, start, tick_ms, wraps;
    long long device, arch, hip, current, average, edge, hot, clock, cap_uw, refused, lost;
} Gpu;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static int put(Gpu *g, const char *key, const char *value)
{
    struct { const char *key; long long *to; int base; } numbers[] = {
        {"device", &g->device, 16}, {"arch", &g->arch, 16}, {"hip", &g->hip, 10}, {"current", &g->current, 10},
        {"average", &g->average, 10}, {"edge", &g->edge, 10}, {"hot", &g->hot, 10}, {"clock", &g->clock, 10},
        {"cap_uw", &g->cap_uw, 10}, {"lost", &g->lost, 10},
        {"refused", &g->refused, 10}};
    struct { const char *key; double *to; } reals[] = {{"energy", &g->energy}, {"unit", &g->unit}, {"watts", &g->watts},
        {"start", &g->start}, {"tick_ms", &g->tick_ms}, {"wraps", &g->wraps}};
    struct { const char *key; char *to; size_t size; } texts[] = {{"name", g->name, sizeof g->name},
        {"serial", g->serial, sizeof g->serial}, {"driver", g->driver, sizeof g->driver},
        {"processes", g->processes, sizeof g->processes}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) {
            *numbers[i].to = strtoll(value, NULL, numbers[i].base);
            return 1;
        }
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!strcmp(key, reals[i].key)) {
            *reals[i].to = atof(value);
            return 1;
        }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key)) {
            snprintf(texts[i].to, texts[i].size, "%s", value);
            return 1;
        }
    return 0;
}

static void parse(Gpu *g, char *line)
{
    char *rest = NULL, *word = strtok_r(line, " \n", &rest);
    *g = (Gpu){.energy = -1, .unit = 15.3, .watts = -1, .tick_ms = 1, .device = -1, .arch = -1, .hip = -1, .current = -1,
               .average = -1, .edge = -1, .hot = -1, .clock = -1, .cap_uw = -1};
    if (sscanf(word, "%x:%x:%x.%x", &g->domain, &g->bus, &g->device_number, &g->function) != 4) {
        fprintf(stderr, "fake_amdsmi: %s is no address\n", word);
        abort();
    }
    while ((word = strtok_r(NULL, " \n", &rest))) {
        char *value = strchr(word, '=');
        if (value)
            *value++ = 0;
        if (!value || !put(g, word, value)) {
            fprintf(stderr, "fake_amdsmi: unknown %s\n", word);
            abort();
        }
    }
    for (char *c = g->name; *c; c++)
        if (*c == '_')
            *c = ' ';
    if (g->watts < 0)
        return;
    g->energy += floor((now_s() - g->start) * 1000 / g->tick_ms) * g->tick_ms * 1e-3 * g->watts * 65536;
    if (g->wraps > 0)
        g->energy = fmod(g->energy, g->wraps);
}

static int load(Gpu *gpus)
{
    FILE *file = fopen(getenv("FAKE_AMDSMI"), "r");
    char line[1024];
    int count = 0;
    if (!file)
        return 0;
    while (count < MAX_GPUS && fgets(line, sizeof line, file))
        parse(gpus + count++, line);
    fclose(file);
    return count;
}

/* A handle is the GPU's index + 1, that of its socket 100 more. */
static int find(void *handle, Gpu *found)
{
    Gpu gpus[MAX_GPUS];
    long index = (long)handle - 1;
    if (index < 0 || index >= load(gpus))
        return INVALID;
    *found = gpus[index];
    return (int)found->lost;
}

#define FIND(handle) \
    Gpu g; \
    int trouble = find(handle, &g); \
    if (trouble) \
        return trouble

int amdsmi_init(uint64_t flags)
{
    (void)flags;
    return getenv("FAKE_AMDSMI_INIT") ? atoi(getenv("FAKE_AMDSMI_INIT")) : OK;
}

int amdsmi_shut_down(void) { return OK; }

int amdsmi_get_socket_handles(uint32_t *count, void **sockets)
{
    Gpu gpus[MAX_GPUS];
    if (getenv("FAKE_AMDSMI_LIST"))
        return atoi(getenv("FAKE_AMDSMI_LIST"));
    *count = load(gpus);
    for (long i = 0; sockets && i < *count; i++)
        sockets[i] = (void *)(i + 101);
    return OK;
}

int amdsmi_get_processor_handles(void *socket, uint32_t *count, void **processors)
{
    *count = 1;
    if (processors)
        *processors = (void *)((long)socket - 100);
    return OK;
}

int amdsmi_get_gpu_device_bdf(void *handle, uint64_t *bdf)
{
    Gpu g;
    find(handle, &g);
    *bdf = (uint64_t)g.domain << 16 | g.bus << 8 | g.device_number << 3 | g.function;
    return OK;
}

int amdsmi_get_gpu_asic_info(void *handle, void *out)
{
    struct {
        char market_name[256];
        uint32_t vendor_id;
        char vendor_name[256];
        uint32_t subvendor_id;
        uint64_t device_id;
        uint32_t rev_id;
        char asic_serial[256];
        uint32_t oam_id, compute_units, padding;
        uint64_t architecture;
    } __attribute__((packed)) *info = out;
    FIND(handle);
    strcpy(info->market_name, g.name);
    strcpy(info->asic_serial, g.serial);
    info->device_id = g.device < 0 ? 0 : (uint64_t)g.device;
    info->architecture = (uint64_t)g.arch;
    return OK;
}

int amdsmi_get_gpu_enumeration_info(void *handle, void *out)
{
    struct { uint32_t render, card, hsa, hip; } *info = out;
    FIND(handle);
    info->hip = (uint32_t)g.hip;
    return OK;
}

int amdsmi_get_energy_count(void *handle, uint64_t *energy, float *unit, uint64_t *timestamp)
{
    FIND(handle);
    if (g.energy < 0 || g.refused)
        return g.refused ? (int)g.refused : NOT_SUPPORTED;
    *energy = (uint64_t)g.energy;
    *unit = (float)g.unit;
    *timestamp = (uint64_t)(now_s() * 1e9);
    return OK;
}

int amdsmi_get_power_info(void *handle, void *out)
{
    struct { uint64_t socket; uint32_t current, average; } *info = out;
    FIND(handle);
    if (g.current < 0 && g.average < 0)
        return NOT_SUPPORTED;
    info->current = g.current < 0 ? 0xFFFF : (uint32_t)g.current;
    info->average = g.average < 0 ? 0xFFFF : (uint32_t)g.average;
    return OK;
}

int amdsmi_get_power_info_v2(void *handle, uint32_t sensor, void *out)
{
    (void)sensor;
    return amdsmi_get_power_info(handle, out);
}

int amdsmi_get_temp_metric(void *handle, uint32_t sensor, uint32_t metric, int64_t *temperature)
{
    FIND(handle);
    long long value = sensor == EDGE ? g.edge : sensor == HOTSPOT ? g.hot : -1;
    if (value < 0 || metric != 0)
        return NOT_SUPPORTED;
    *temperature = value;
    return OK;
}

int amdsmi_get_clock_info(void *handle, uint32_t clock, uint32_t *out)
{
    FIND(handle);
    if (g.clock < 0 || clock != CLOCK_GFX)
        return NOT_SUPPORTED;
    *out = (uint32_t)g.clock;
    return OK;
}

int amdsmi_get_power_cap_info(void *handle, uint32_t sensor, uint64_t *out)
{
    FIND(handle);
    if (g.cap_uw < 0 || sensor != 0)
        return NOT_SUPPORTED;
    *out = (uint64_t)g.cap_uw;
    return OK;
}

int amdsmi_get_gpu_driver_info(void *handle, char *out)
{
    FIND(handle);
    if (!*g.driver)
        return NOT_SUPPORTED;
    strcpy(out, g.driver);
    return OK;
}

int amdsmi_get_gpu_process_list(void *handle, uint32_t *count, void *out)
{
    struct Process {
        char name[256];
        uint32_t pid, padding;
        uint64_t memory, engine_usage[2];
        uint32_t engine_reserved[12];
        uint64_t gtt, cpu, vram;
        uint32_t memory_reserved[10];
        char container[256];
        uint32_t occupancy, reserved[11];
    } __attribute__((packed)) *list = out;
    FIND(handle);
    char *text = g.processes;
    *count = 0;
    while (*text && *count < MAX_PROCESSES) {
        list[*count].pid = strtoul(text, &text, 10);
        list[*count].vram = strtoull(text + 1, &text, 10);
        ++*count;
        if (*text == ',')
            text++;
    }
    return OK;
}
