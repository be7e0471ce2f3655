/* Preloaded where a process can have no hostname of its own: says NAP_HOSTNAME instead of the machine's. */
#define _GNU_SOURCE
#include <errno.h>
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
