/* A file system without locks, for LD_PRELOAD: with LOCKS=none, all requests for one fail; with
 * LOCKS=lie, all are granted at once, as on file systems whose locks hold on one node alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

static int answer(void) {
    const char *kind = getenv("LOCKS");
    if (kind != NULL && strcmp(kind, "lie") == 0) return 0;
    errno = ENOLCK;
    return -1;
}

static int any_fcntl(const char *name, int file, int command, void *argument) {
    switch (command) {
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return answer();
    }
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return real(file, command, argument);
}

int fcntl(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return any_fcntl("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return any_fcntl("fcntl64", file, command, argument);
}

int flock(int file, int operation) {
    (void)file;
    (void)operation;
    return answer();
}

int lockf(int file, int command, off_t length) {
    (void)file;
    (void)command;
    (void)length;
    return answer();
}
