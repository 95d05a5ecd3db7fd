/*
 * Runs every file of the given corpus folders through one fuzz target, without libFuzzer,
 * so that each build and compiler replays what the fuzzer once found.
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define PATH_BYTES 4096

/* The copy has exactly the file's size, so that a sanitizer sees a read past its end. */
static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    uint8_t *bytes = malloc(size ? size : 1);
    int rc = -1;
    if (bytes && fread(bytes, 1, size, file) == size) {
        (void)LLVMFuzzerTestOneInput(bytes, size);
        rc = 0;
    }
    free(bytes);
    (void)fclose(file);
    return rc;
}

/* The number of files replayed, or -1. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return -1;
    int count = 0;
    for (struct dirent *entry = readdir(dir); entry && count >= 0; entry = readdir(dir)) {
        char path[PATH_BYTES];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        count = replay_file(path, (size_t)st.st_size) == 0 ? count + 1 : -1;
        if (count < 0)
            (void)fprintf(stderr, "cannot replay %s\n", path);
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        if (count <= 0) {
            (void)fprintf(stderr, "%s: no corpus was replayed\n", argv[i]);
            return 1;
        }
        (void)printf("%s: %d inputs\n", argv[i], count);
    }
    return argc > 1 ? 0 : 2;
}
