#include "matrix.h"

#include <stdlib.h>

static void share_rows(struct matrix *matrix, int size)
{
    for (int rank = 0; rank < size; rank++) {
        const int first = (int)((long)matrix->order * rank / size);
        const int after = (int)((long)matrix->order * (rank + 1) / size);
        matrix->displacements[rank] = first;
        matrix->counts[rank] = after - first;
    }
}

int matrix_create(struct matrix *matrix, int order, MPI_Comm comm)
{
    int rank, size;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    matrix->comm = comm;
    matrix->order = order;
    matrix->counts = malloc((size_t)size * sizeof *matrix->counts);
    matrix->displacements = malloc((size_t)size * sizeof *matrix->displacements);
    if (!matrix->counts || !matrix->displacements)
        return -1;
    share_rows(matrix, size);

    matrix->rows = matrix->counts[rank];
    /* One more row than needed: a rank may have none, and malloc(0) may return NULL. */
    matrix->values = malloc((size_t)(matrix->rows + 1) * (size_t)order * sizeof *matrix->values);
    if (!matrix->values)
        return -1;
    for (int row = 0; row < matrix->rows; row++)
        for (int column = 0; column < order; column++)
            matrix->values[(size_t)row * (size_t)order + (size_t)column] =
                1.0 / (matrix->displacements[rank] + row + column + 1);
    return 0;
}

void matrix_free(struct matrix *matrix)
{
    free(matrix->values);
    free(matrix->counts);
    free(matrix->displacements);
}

void matrix_multiply(const struct matrix *matrix, const double *vector, double *product)
{
    int rank;

    MPI_Comm_rank(matrix->comm, &rank);
    double *mine = product + matrix->displacements[rank];
    for (int row = 0; row < matrix->rows; row++) {
        const double *values = matrix->values + (size_t)row * (size_t)matrix->order;
        mine[row] = 0.0;
        for (int column = 0; column < matrix->order; column++)
            mine[row] += values[column] * vector[column];
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, product, matrix->counts,
                   matrix->displacements, MPI_DOUBLE, matrix->comm);
}
