/* macOS's sysctlbyname for tests, to be preloaded: it knows the name of the chip. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int sysctlbyname(const char *name, void *old, size_t *size, void *new, size_t new_size)
{
    const char *chip = getenv("FAKE_CHIP");
    if (!chip || strcmp(name, "machdep.cpu.brand_string") || new || new_size || strlen(chip) >= *size) {
        errno = ENOENT;
        return -1;
    }
    strcpy(old, chip);
    *size = strlen(chip) + 1;
    return 0;
}
