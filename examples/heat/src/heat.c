/* The steady temperature of a plate: Jacobi's method on a grid of ranks. */
#include "block.h"
#include "plate.h"

#include <stdio.h>
#include <stdlib.h>

static const char settings[] = "data/plate.txt";

/* Ends all ranks; some MPIs return from MPI_Abort before the end comes. */
static void fail(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
    exit(code);
}

/* Rank 0 reads the settings, all ranks get them. */
static struct plate shared_plate(void)
{
    struct plate plate;
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && plate_read(settings, &plate) != 0)
        fail(2);
    /* All ranks run this very program on one kind of machine, so the bytes mean the same. */
    MPI_Bcast(&plate, sizeof plate, MPI_BYTE, 0, MPI_COMM_WORLD);
    return plate;
}

/* Steps until no cell of the whole plate changes by more than the tolerance. */
static int solve(struct block *block, const struct plate *plate, double *change)
{
    int steps = 0;

    do {
        block_exchange_halo(block);
        *change = block_step(block);
        MPI_Allreduce(MPI_IN_PLACE, change, 1, MPI_DOUBLE, MPI_MAX, block->grid);
        steps++;
    } while (*change > plate->tolerance && steps < plate->max_steps);
    return steps;
}

static double mean(const struct block *block, const struct plate *plate)
{
    double sum = block_sum(block);

    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, block->grid);
    return sum / ((double)plate->rows * plate->columns);
}

/* The first and the last rank keep their block: the two ends of the plate. */
static void write_ends(const struct block *block, int rank, int size)
{
    char path[40];

    if (rank != 0 && rank != size - 1)
        return;
    snprintf(path, sizeof path, "result_%d.txt", rank);
    if (block_write(block, path) != 0)
        fail(1);
}

int main(int argc, char **argv)
{
    int rank, size, dims[2] = {0, 0}, periods[2] = {0, 0};
    MPI_Comm grid;
    struct block block;
    double change;

    MPI_Init(&argc, &argv);
    const struct plate plate = shared_plate();
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Dims_create(size, 2, dims);
    if (dims[0] > plate.rows || dims[1] > plate.columns) {
        fprintf(stderr, "the plate has too few cells for %d x %d ranks\n", dims[0], dims[1]);
        fail(2);
    }
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid);
    MPI_Comm_rank(grid, &rank);
    if (block_create(&block, grid, &plate) != 0) {
        fprintf(stderr, "rank %d: not enough memory for its block\n", rank);
        fail(1);
    }

    const int steps = solve(&block, &plate, &change);
    const double average = mean(&block, &plate);
    write_ends(&block, rank, size);
    if (rank == 0) {
        printf("%d x %d cells on %d x %d ranks\n", plate.rows, plate.columns, dims[0], dims[1]);
        printf("%d steps, last change %.6f\n", steps, change);
        printf("mean temperature %.6f\n", average);
    }

    block_free(&block);
    MPI_Comm_free(&grid);
    MPI_Finalize();
    return 0;
}
