/* A libnvidia-ml.so.1 whose GPUs run: power and energy follow from the clock at every call, so that no process need
 * write them and a call costs what the binding costs. (tests/fakes/fake_nvml.c reads a file at every call instead.)
 *
 * LIVE_NVML holds one GPU per ';' as "watts,tick_s,counter": the energy counter moves every tick_s seconds (0: always),
 * and counter 0 means a GPU without one, of an architecture that has none. LIVE_NVML_STARTED_S is the monotonic time at
 * which the counters were 0.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_GPUS 16
enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, PASCAL = 4, HOPPER = 9 };

typedef struct { double watts, tick_s; int counter; } Gpu;
typedef struct {
    uint32_t fieldId, scopeId;
    int64_t timestamp, latencyUsec;
    uint32_t valueType, nvmlReturn;
    union { double d; unsigned u; unsigned long long ull; } value;
} FieldValue;

static Gpu gpus[MAX_GPUS];
static unsigned count;
static double started_s;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9 - started_s;
}

int nvmlInitWithFlags(unsigned flags)
{
    const char *spec = getenv("LIVE_NVML");
    (void)flags;
    started_s = atof(getenv("LIVE_NVML_STARTED_S"));
    for (count = 0; spec && count < MAX_GPUS; count++) {
        Gpu *g = gpus + count;
        if (sscanf(spec, "%lf,%lf,%d", &g->watts, &g->tick_s, &g->counter) != 3)
            break;
        spec = strchr(spec, ';');
        spec = spec ? spec + 1 : "";
    }
    return OK;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == OK ? "Success" : code == NOT_FOUND ? "Not Found" : "Not Supported"; }

/* A handle is the GPU's index + 1. */
#define GPU(handle) (gpus + ((long)(handle) - 1))

int nvmlDeviceGetCount_v2(unsigned *found) { *found = count; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    *handle = (void *)(long)(index + 1);
    return index < count ? OK : NOT_FOUND;
}
int nvmlDeviceGetUUID(void *handle, char *out, unsigned size)
{
    snprintf(out, size, "GPU-%08ld-0000-0000-0000-000000000000", (long)handle);
    return OK;
}
int nvmlDeviceGetName(void *handle, char *out, unsigned size)
{
    snprintf(out, size, "%s", GPU(handle)->counter ? "Fake H100" : "Fake P100");
    return OK;
}
int nvmlDeviceGetArchitecture(void *handle, unsigned *out) { *out = GPU(handle)->counter ? HOPPER : PASCAL; return OK; }

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *mj)
{
    Gpu *g = GPU(handle);
    double t = now_s();
    if (!g->counter)
        return NOT_SUPPORTED;
    *mj = (unsigned long long)(1000 * g->watts * (g->tick_s > 0 ? floor(t / g->tick_s) * g->tick_s : t));
    return OK;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *mw) { *mw = 1000 * GPU(handle)->watts; return OK; }

/* POWER_INSTANT (186) is there on every architecture, POWER_AVERAGE (185) from Ampere on (nvml.h). */
int nvmlDeviceGetFieldValues(void *handle, int asked, FieldValue *values)
{
    for (int i = 0; i < asked; i++) {
        int known = values[i].fieldId == 186 || (values[i].fieldId == 185 && GPU(handle)->counter);
        values[i].nvmlReturn = known ? OK : NOT_SUPPORTED;
        values[i].valueType = 1;
        values[i].value.u = 1000 * GPU(handle)->watts;
    }
    return OK;
}

/* What the peers ask besides. */
int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *next) { (void)h; *now = *next = 0; return OK; }
int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *c) { (void)h; (void)sensor; *c = 41; return OK; }
int nvmlDeviceGetClockInfo(void *h, int type, unsigned *mhz) { (void)h; (void)type; *mhz = 1500; return OK; }
int nvmlDeviceGetMaxClockInfo(void *h, int type, unsigned *mhz) { (void)h; (void)type; *mhz = 1980; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { (void)h; *mw = 700000; return OK; }
int nvmlDeviceGetPowerManagementLimit(void *h, unsigned *mw) { (void)h; *mw = 700000; return OK; }
int nvmlDeviceGetPowerManagementDefaultLimit(void *h, unsigned *mw) { (void)h; *mw = 700000; return OK; }
int nvmlDeviceGetPersistenceMode(void *h, unsigned *mode) { (void)h; *mode = 1; return OK; }
int nvmlDeviceGetComputeMode(void *h, unsigned *mode) { (void)h; *mode = 0; return OK; }
int nvmlDeviceGetUtilizationRates(void *h, unsigned *rates) { (void)h; rates[0] = rates[1] = 50; return OK; }
int nvmlDeviceGetMemoryInfo(void *h, unsigned long long *info) { (void)h; info[0] = 80ULL << 30; info[1] = info[2] = info[0] / 2; return OK; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *found, void *list) { (void)h; (void)list; *found = 0; return OK; }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *h, unsigned *found, void *list) { (void)h; (void)list; *found = 0; return OK; }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { snprintf(out, size, "555.00"); return OK; }
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12040; return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12040; return OK; }
