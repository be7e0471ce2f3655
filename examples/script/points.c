/* points write FILE: all ranks write the numbers 0..COUNT-1, squared, into one file.
   points add FILE:   all ranks read it and add it up, whatever the number of ranks was before. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 1000 };

struct part {
    int first, length;
};

static struct part part_of(int rank, int size)
{
    const int first = COUNT * rank / size;
    return (struct part){first, COUNT * (rank + 1) / size - first};
}

/* Errors of files, unlike others, don't end the program by themselves. */
static void check(int error, const char *path)
{
    char message[MPI_MAX_ERROR_STRING];
    int length;

    if (error == MPI_SUCCESS)
        return;
    MPI_Error_string(error, message, &length);
    fprintf(stderr, "%s: %s\n", path, message);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1); /* some MPIs return from MPI_Abort before the end comes */
}

static void write_squares(MPI_File file, const char *path, struct part part)
{
    long values[COUNT];

    for (int i = 0; i < part.length; i++)
        values[i] = (long)(part.first + i) * (part.first + i);
    check(MPI_File_write_at_all(file, part.first * (MPI_Offset)sizeof(long), values, part.length,
                                MPI_LONG, MPI_STATUS_IGNORE), path);
}

static long add_up(MPI_File file, const char *path, struct part part)
{
    long values[COUNT], sum = 0;

    check(MPI_File_read_at_all(file, part.first * (MPI_Offset)sizeof(long), values, part.length,
                               MPI_LONG, MPI_STATUS_IGNORE), path);
    for (int i = 0; i < part.length; i++)
        sum += values[i];
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    return sum;
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_File file;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc != 3 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "add") != 0)) {
        if (rank == 0)
            fprintf(stderr, "usage: points write|add FILE\n");
        MPI_Finalize();
        return 2;
    }

    const int writing = strcmp(argv[1], "write") == 0;
    const int mode = writing ? MPI_MODE_CREATE | MPI_MODE_WRONLY : MPI_MODE_RDONLY;
    const struct part part = part_of(rank, size);
    check(MPI_File_open(MPI_COMM_WORLD, argv[2], mode, MPI_INFO_NULL, &file), argv[2]);
    if (writing) {
        write_squares(file, argv[2], part);
        if (rank == 0)
            printf("wrote %d numbers on %d ranks\n", COUNT, size);
    } else {
        const long sum = add_up(file, argv[2], part);
        if (rank == 0)
            printf("they add up to %ld on %d ranks\n", sum, size);
    }
    check(MPI_File_close(&file), argv[2]);
    MPI_Finalize();
    return 0;
}
