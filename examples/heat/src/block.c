#include "block.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static size_t cell(const struct block *block, int row, int column)
{
    return (size_t)row * (size_t)(block->columns + 2) + (size_t)column;
}

/* Where part `index` of `parts` nearly equal parts of `length` begins. */
static int part_begin(int length, int parts, int index)
{
    return (int)((long)length * index / parts);
}

static void set_edges(const struct block *block, const struct plate *plate, double *cells)
{
    for (int column = 0; column < block->columns + 2; column++) {
        if (block->up == MPI_PROC_NULL) cells[cell(block, 0, column)] = plate->top;
        if (block->down == MPI_PROC_NULL)
            cells[cell(block, block->rows + 1, column)] = plate->bottom;
    }
    for (int row = 1; row <= block->rows; row++) {
        if (block->left == MPI_PROC_NULL) cells[cell(block, row, 0)] = plate->left;
        if (block->right == MPI_PROC_NULL)
            cells[cell(block, row, block->columns + 1)] = plate->right;
    }
}

int block_create(struct block *block, MPI_Comm grid, const struct plate *plate)
{
    int dims[2], periods[2], coords[2];

    MPI_Cart_get(grid, 2, dims, periods, coords);
    MPI_Cart_shift(grid, 0, 1, &block->up, &block->down);
    MPI_Cart_shift(grid, 1, 1, &block->left, &block->right);
    block->grid = grid;
    block->first_row = part_begin(plate->rows, dims[0], coords[0]);
    block->first_column = part_begin(plate->columns, dims[1], coords[1]);
    block->rows = part_begin(plate->rows, dims[0], coords[0] + 1) - block->first_row;
    block->columns = part_begin(plate->columns, dims[1], coords[1] + 1) - block->first_column;

    const size_t cells = (size_t)(block->rows + 2) * (size_t)(block->columns + 2);
    block->now = calloc(cells, sizeof *block->now);
    block->next = calloc(cells, sizeof *block->next);
    if (!block->now || !block->next)
        return -1;
    set_edges(block, plate, block->now);
    set_edges(block, plate, block->next);

    MPI_Type_vector(block->rows, 1, block->columns + 2, MPI_DOUBLE, &block->column);
    MPI_Type_commit(&block->column);
    return 0;
}

void block_free(struct block *block)
{
    MPI_Type_free(&block->column);
    free(block->now);
    free(block->next);
}

void block_exchange_halo(struct block *block)
{
    double *first = &block->now[cell(block, 1, 1)];
    double *last_row = &block->now[cell(block, block->rows, 1)];
    double *last_column = &block->now[cell(block, 1, block->columns)];
    double *above = &block->now[cell(block, 0, 1)];
    double *below = &block->now[cell(block, block->rows + 1, 1)];
    double *before = &block->now[cell(block, 1, 0)];
    double *behind = &block->now[cell(block, 1, block->columns + 1)];

    MPI_Sendrecv(first, block->columns, MPI_DOUBLE, block->up, 0,
                 below, block->columns, MPI_DOUBLE, block->down, 0, block->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(last_row, block->columns, MPI_DOUBLE, block->down, 1,
                 above, block->columns, MPI_DOUBLE, block->up, 1, block->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(first, 1, block->column, block->left, 2,
                 behind, 1, block->column, block->right, 2, block->grid, MPI_STATUS_IGNORE);
    MPI_Sendrecv(last_column, 1, block->column, block->right, 3,
                 before, 1, block->column, block->left, 3, block->grid, MPI_STATUS_IGNORE);
}

double block_step(struct block *block)
{
    const double *now = block->now;
    double *next = block->next, largest = 0.0;

    for (int row = 1; row <= block->rows; row++) {
        for (int column = 1; column <= block->columns; column++) {
            const size_t here = cell(block, row, column);
            const double up = now[cell(block, row - 1, column)];
            const double down = now[cell(block, row + 1, column)];
            next[here] = 0.25 * (up + down + now[here - 1] + now[here + 1]);
            largest = fmax(largest, fabs(next[here] - now[here]));
        }
    }
    block->next = block->now;
    block->now = next;
    return largest;
}

double block_sum(const struct block *block)
{
    double sum = 0.0;

    for (int row = 1; row <= block->rows; row++)
        for (int column = 1; column <= block->columns; column++)
            sum += block->now[cell(block, row, column)];
    return sum;
}

int block_write(const struct block *block, const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file) {
        perror(path);
        return -1;
    }
    fprintf(file, "# %d rows from row %d, %d columns from column %d\n", block->rows,
            block->first_row, block->columns, block->first_column);
    for (int row = 1; row <= block->rows; row++)
        for (int column = 1; column <= block->columns; column++)
            fprintf(file, "%.6f%c", block->now[cell(block, row, column)],
                    column == block->columns ? '\n' : ' ');
    if (fclose(file) != 0) {
        perror(path);
        return -1;
    }
    return 0;
}
