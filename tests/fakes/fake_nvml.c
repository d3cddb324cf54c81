/* A libnvidia-ml.so.1 for tests. The file named by FAKE_NVML holds one line per GPU, read again at every call:
 *     uuid name energy_mj power_mw instant_mw mig lost [key=value ...]
 * with -1 for "not supported" (and _ for a space in the name). So a test changes a GPU while it is being metered.
 * What may follow, in any order; what is not given is not supported, or nothing:
 *     watts=W start=S tick_ms=T   draws W watts since S on the monotonic clock; the energy counter, which began at
 *                                 energy_mj, holds what was drawn at its last tick; power sensors that are there tell W
 *     module_mw=P                 power of the module that the GPU is part of
 *     scopes=0                    a driver that looks at no power scope: any scope tells the GPU's power
 *     throttle=MASK               what holds the clocks down
 *     old=1                       an old driver: no list of processes, the older name for what holds the clocks down
 *     persistence=0|1 ecc=0|1     modes
 *     cpus=MASK                   CPUs nearest to the GPU
 *     processes=PID:BYTES,...     that compute on the GPU; BYTES -1: not told
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_GPUS 16
#define MAX_PROCESSES 8
enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, NO_FUNCTION = 13, GPU_IS_LOST = 15 };
enum { POWER_INSTANT = 186, SCOPE_GPU = 0, SCOPE_MODULE = 1 };

typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute; } Process;

typedef struct {
    char uuid[80], name[80];
    long long energy_mj, power_mw, instant_mw, module_mw;
    int mig, lost, scopes, old, persistence, ecc, count;
    unsigned long long throttle, cpus;
    Process processes[MAX_PROCESSES];
} Gpu;

typedef struct {
    uint32_t fieldId, scopeId;
    int64_t timestamp, latencyUsec;
    uint32_t valueType, nvmlReturn;
    union { double d; unsigned u; unsigned long long ull; } value;
} FieldValue;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void load_processes(Gpu *g, char *text)
{
    while (*text && g->count < MAX_PROCESSES) {
        Process *p = g->processes + g->count++;
        p->pid = strtoul(text, &text, 10);
        p->memory = strtoll(text + 1, &text, 10); /* -1 is NVML_VALUE_NOT_AVAILABLE */
        if (*text == ',')
            text++;
    }
}

static void load_extras(Gpu *g, char *text)
{
    double watts = -1, start = 0, tick_ms = 100;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        char *value = strchr(word, '=');
        if (!value) {
            fprintf(stderr, "fake_nvml: %s is no key=value\n", word);
            abort();
        }
        *value++ = 0;
        if (!strcmp(word, "watts")) watts = atof(value);
        else if (!strcmp(word, "start")) start = atof(value);
        else if (!strcmp(word, "tick_ms")) tick_ms = atof(value);
        else if (!strcmp(word, "module_mw")) g->module_mw = atoll(value);
        else if (!strcmp(word, "scopes")) g->scopes = atoi(value);
        else if (!strcmp(word, "throttle")) g->throttle = strtoull(value, NULL, 0);
        else if (!strcmp(word, "old")) g->old = atoi(value);
        else if (!strcmp(word, "persistence")) g->persistence = atoi(value);
        else if (!strcmp(word, "ecc")) g->ecc = atoi(value);
        else if (!strcmp(word, "cpus")) g->cpus = strtoull(value, NULL, 0);
        else if (!strcmp(word, "processes")) load_processes(g, value);
        else {
            fprintf(stderr, "fake_nvml: unknown key %s\n", word);
            abort();
        }
    }
    if (watts < 0)
        return;
    if (g->energy_mj >= 0)
        g->energy_mj += (long long)((now_s() - start) * 1000 / tick_ms) * tick_ms * watts; /* ms x W = mJ */
    if (g->power_mw >= 0)
        g->power_mw = watts * 1000;
    if (g->instant_mw >= 0)
        g->instant_mw = watts * 1000;
}

static int load(Gpu *gpus)
{
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    char line[1024];
    int count = 0;
    if (!file)
        return 0;
    while (count < MAX_GPUS && fgets(line, sizeof line, file)) {
        int end = 0;
        Gpu *g = gpus + count;
        *g = (Gpu){.module_mw = -1, .scopes = 1, .persistence = -1, .ecc = -1};
        if (sscanf(line, "%79s %79s %lld %lld %lld %d %d%n", g->uuid, g->name, &g->energy_mj, &g->power_mw,
                   &g->instant_mw, &g->mig, &g->lost, &end) != 7)
            break;
        for (char *c = g->name; *c; c++)
            if (*c == '_')
                *c = ' ';
        load_extras(g, line + end);
        count++;
    }
    fclose(file);
    return count;
}

/* A handle is the GPU's index + 1; a slice's handle is 100 more. */
static int find(void *handle, Gpu *found)
{
    Gpu gpus[MAX_GPUS];
    long index = (long)handle - 1;
    if (index < 0 || index >= load(gpus))
        return NOT_FOUND;
    *found = gpus[index];
    return found->lost ? GPU_IS_LOST : OK;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return getenv("FAKE_NVML_INIT") ? atoi(getenv("FAKE_NVML_INIT")) : OK; }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code)
{
    switch (code) {
    case OK: return "Success";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) { snprintf(out, size, "580.65.06"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { Gpu gpus[MAX_GPUS]; *count = load(gpus); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    Gpu g;
    *handle = (void *)(long)(index + 1);
    return find(*handle, &g);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    /* The slice "MIG-slice-N" lies on GPU N. */
    if (strncmp(uuid, "MIG-slice-", 10))
        return NOT_FOUND;
    *handle = (void *)(long)(atoi(uuid + 10) + 101);
    return OK;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *slice, void **handle)
{
    Gpu g;
    *handle = (void *)((long)slice - 100);
    return find(*handle, &g);
}

static int text(void *handle, char *out, unsigned size, int name)
{
    Gpu g;
    int code = find(handle, &g);
    if (code == OK)
        snprintf(out, size, "%s", name ? g.name : g.uuid);
    return code;
}

int nvmlDeviceGetName(void *handle, char *out, unsigned size) { return text(handle, out, size, 1); }
int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) { return text(handle, out, size, 0); }

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *mj)
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    if (g.energy_mj < 0)
        return NOT_SUPPORTED;
    *mj = g.energy_mj;
    return OK;
}

/* A whole number that the GPU tells, below 0 where it does not. */
static int tell(void *handle, unsigned *out, long long (*pick)(const Gpu *))
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    if (pick(&g) < 0)
        return NOT_SUPPORTED;
    *out = pick(&g);
    return OK;
}

static long long pick_power(const Gpu *g) { return g->power_mw; }
static long long pick_persistence(const Gpu *g) { return g->persistence; }
static long long pick_ecc(const Gpu *g) { return g->ecc; }
static long long pick_mig(const Gpu *g) { return g->mig; }
static long long pick_temperature(const Gpu *g) { (void)g; return 41; }
static long long pick_clock(const Gpu *g) { (void)g; return 1980; }
static long long pick_limit(const Gpu *g) { (void)g; return 700000; }
static long long pick_default_limit(const Gpu *g) { (void)g; return 650000; }

int nvmlDeviceGetPowerUsage(void *handle, unsigned *mw) { return tell(handle, mw, pick_power); }
int nvmlDeviceGetPersistenceMode(void *handle, unsigned *mode) { return tell(handle, mode, pick_persistence); }
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *mw) { return tell(handle, mw, pick_limit); }
int nvmlDeviceGetPowerManagementDefaultLimit(void *handle, unsigned *mw) { return tell(handle, mw, pick_default_limit); }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *c) { (void)sensor; return tell(handle, c, pick_temperature); }
int nvmlDeviceGetClockInfo(void *handle, int type, unsigned *mhz) { (void)type; return tell(handle, mhz, pick_clock); }

int nvmlDeviceGetEccMode(void *handle, unsigned *current, unsigned *pending)
{
    (void)pending;
    return tell(handle, current, pick_ecc);
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    (void)pending;
    return tell(handle, current, pick_mig);
}

int nvmlDeviceGetFieldValues(void *handle, int count, FieldValue *values)
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    for (int i = 0; i < count; i++) {
        FieldValue *v = values + i;
        unsigned scope = g.scopes ? v->scopeId : SCOPE_GPU;
        long long mw = scope == SCOPE_GPU ? g.instant_mw : scope == SCOPE_MODULE ? g.module_mw : -1;
        v->nvmlReturn = v->fieldId == POWER_INSTANT && mw >= 0 ? OK : NOT_SUPPORTED;
        v->value.u = mw;
    }
    return OK;
}

static int reasons(void *handle, unsigned long long *mask, int old)
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    if (g.old && !old)
        return NO_FUNCTION; /* as where the library has no such symbol */
    *mask = g.throttle;
    return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *mask) { return reasons(handle, mask, 0); }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *mask) { return reasons(handle, mask, 1); }

int nvmlDeviceGetCpuAffinity(void *handle, unsigned size, unsigned long *set)
{
    Gpu g;
    int code = find(handle, &g);
    if (code == OK && !g.cpus)
        return NOT_SUPPORTED;
    for (unsigned i = 0; code == OK && i < size; i++)
        set[i] = i ? 0 : g.cpus;
    return code;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, Process *infos)
{
    Gpu g;
    int code = find(handle, &g);
    unsigned room = *count;
    if (code != OK)
        return code;
    if (g.old)
        return NO_FUNCTION;
    *count = g.count;
    if ((unsigned)g.count > room)
        return INSUFFICIENT_SIZE;
    for (int i = 0; i < g.count; i++)
        infos[i] = g.processes[i];
    return OK;
}
