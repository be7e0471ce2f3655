/* Rank 0 reads a number out of the memory of rank 1, as an MPI does with large messages. */
#define _GNU_SOURCE
#include <mpi.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int rank, number = 0;
    long where[2];

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 1) {
        number = 42;
        where[0] = getpid();
        where[1] = (long)&number;
        MPI_Send(where, 2, MPI_LONG, 0, 0, MPI_COMM_WORLD);
    } else {
        MPI_Recv(where, 2, MPI_LONG, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        struct iovec mine = {&number, sizeof number}, its = {(void *)where[1], sizeof number};
        if (process_vm_readv((pid_t)where[0], &mine, 1, &its, 1, 0) != sizeof number)
            perror("process_vm_readv");
        else
            printf("rank 0 read %d in rank 1\n", number);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return 0;
}
