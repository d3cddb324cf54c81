/* A libnvidia-ml.so.1 for tests. The file named by FAKE_NVML holds one line per GPU, read again at every call:
 *     uuid name energy_mj power_mw instant_mw mig lost
 * with -1 for "not supported" (and _ for a space in the name). So a test changes a GPU while it is being metered.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GPUS 16
enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15 };

typedef struct {
    char uuid[80], name[80];
    long long energy_mj, power_mw, instant_mw;
    int mig, lost;
} Gpu;

typedef struct {
    uint32_t fieldId, scopeId;
    int64_t timestamp, latencyUsec;
    uint32_t valueType, nvmlReturn;
    union { double d; unsigned u; unsigned long long ull; } value;
} FieldValue;

static int load(Gpu *gpus)
{
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    int count = 0;
    if (!file)
        return 0;
    while (count < MAX_GPUS) {
        Gpu *g = gpus + count;
        if (fscanf(file, "%79s %79s %lld %lld %lld %d %d", g->uuid, g->name, &g->energy_mj, &g->power_mw,
                   &g->instant_mw, &g->mig, &g->lost) != 7)
            break;
        for (char *c = g->name; *c; c++)
            if (*c == '_')
                *c = ' ';
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

int nvmlDeviceGetPowerUsage(void *handle, unsigned *mw)
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    if (g.power_mw < 0)
        return NOT_SUPPORTED;
    *mw = g.power_mw;
    return OK;
}

int nvmlDeviceGetFieldValues(void *handle, int count, FieldValue *values)
{
    Gpu g;
    int code = find(handle, &g);
    if (code != OK)
        return code;
    for (int i = 0; i < count; i++) {
        values[i].nvmlReturn = values[i].fieldId == 186 && g.instant_mw >= 0 ? OK : NOT_SUPPORTED;
        values[i].value.u = g.instant_mw;
    }
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    Gpu g;
    int code = find(handle, &g);
    if (code == OK)
        *current = *pending = g.mig;
    return code;
}

static int constant(void *handle, unsigned *out, unsigned value)
{
    Gpu g;
    int code = find(handle, &g);
    if (code == OK)
        *out = value;
    return code;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *c) { (void)sensor; return constant(handle, c, 41); }
int nvmlDeviceGetClockInfo(void *handle, int type, unsigned *mhz) { (void)type; return constant(handle, mhz, 1980); }
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *mw) { return constant(handle, mw, 700000); }
