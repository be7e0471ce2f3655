/* A rank that takes memory until it is stopped. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    for (;;)
        memset(malloc(1 << 20), 1, 1 << 20);
}
