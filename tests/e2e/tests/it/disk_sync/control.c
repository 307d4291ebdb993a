/* Stands between a process and the system's fsync and fdatasync (LD_PRELOAD). Files in the folder FOREBAY_TEST_SYNC_DIR control
 * each sync:
 * - hold: while this file exists, the sync waits. It creates the file "held", which shows that it waits.
 * - fail: while this file exists, the sync fails with an input/output error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int in_folder(char *path, size_t size, const char *name) {
  const char *folder = getenv("FOREBAY_TEST_SYNC_DIR");
  return folder != NULL && snprintf(path, size, "%s/%s", folder, name) < (int)size;
}

static int exists(const char *name) {
  char path[4096];
  return in_folder(path, sizeof path, name) && access(path, F_OK) == 0;
}

static void create(const char *name) {
  char path[4096];
  if (in_folder(path, sizeof path, name)) {
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    if (file >= 0) close(file);
  }
}

static int sync_with(const char *function, int file) {
  int (*system_sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
  while (exists("hold")) {
    create("held");
    usleep(1000);
  }
  if (exists("fail")) {
    errno = EIO;
    return -1;
  }
  return system_sync(file);
}

int fsync(int file) { return sync_with("fsync", file); }
int fdatasync(int file) { return sync_with("fdatasync", file); }
