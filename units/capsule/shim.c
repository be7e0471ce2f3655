/* Preloaded where a process can have no hostname and no shared memory of its own: says NAP_HOSTNAME
   instead of the machine's, and keeps shared memory in the folder TMPDIR, which goes with the run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

int uname(struct utsname *names)
{
    const char *given = getenv("NAP_HOSTNAME");

    if (syscall(SYS_uname, names) != 0)
        return -1;
    if (given != NULL) {
        strncpy(names->nodename, given, sizeof names->nodename - 1);
        names->nodename[sizeof names->nodename - 1] = '\0';
    }
    return 0;
}

int gethostname(char *name, size_t size)
{
    struct utsname names;

    if (uname(&names) != 0)
        return -1;
    if (strlen(names.nodename) >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(name, names.nodename);
    return 0;
}

/* Where the object of that name is, in `path`; 0 when it does not fit. */
static int place(char path[PATH_MAX], const char *name)
{
    const char *folder = getenv("TMPDIR");
    const int length = snprintf(path, PATH_MAX, "%s/shm-%s", folder ? folder : "/dev/shm", name + (*name == '/'));

    if (length < PATH_MAX)
        return 1;
    errno = ENAMETOOLONG;
    return 0;
}

int shm_open(const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];

    return place(path, name) ? open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode) : -1;
}

int shm_unlink(const char *name)
{
    char path[PATH_MAX];

    return place(path, name) ? unlink(path) : -1;
}
