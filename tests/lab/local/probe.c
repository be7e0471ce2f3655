/* What the tests of the local engine run: `probe hello|exit|abort|signal|stay [RANK NUMBER]`. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "hello";
    const int chosen = argc > 2 ? atoi(argv[2]) : -1;
    const int number = argc > 3 ? atoi(argv[3]) : 0;
    char host[256];
    int rank, size;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    gethostname(host, sizeof host);
    printf("rank %d of %d on %s\n", rank, size, host);
    fflush(stdout);
    MPI_Barrier(MPI_COMM_WORLD);
    if (strcmp(what, "stay") == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    if (rank == chosen && strcmp(what, "exit") == 0)
        exit(number);
    if (rank == chosen && strcmp(what, "abort") == 0)
        MPI_Abort(MPI_COMM_WORLD, number);
    if (rank == chosen && strcmp(what, "signal") == 0)
        raise(number);
    MPI_Finalize();
    return 0;
}
