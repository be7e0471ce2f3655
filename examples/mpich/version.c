/* Says which MPI library each rank runs with, and whether it is the one of rank 0. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int rank, size, length, same, all_same;
    char mine[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    char first[MPI_MAX_LIBRARY_VERSION_STRING];

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    MPI_Get_library_version(mine, &length);
    memcpy(first, mine, sizeof first);
    MPI_Bcast(first, sizeof first, MPI_CHAR, 0, MPI_COMM_WORLD);
    same = strcmp(mine, first) == 0;
    MPI_Reduce(&same, &all_same, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);

    if (rank == 0) {
        first[strcspn(first, "\n")] = '\0'; /* the lines below are how it was configured */
        printf("%d of %d ranks run %s\n", all_same, size, first);
    }
    MPI_Finalize();
    return 0;
}
