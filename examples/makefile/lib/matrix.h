#ifndef MATRIX_H
#define MATRIX_H

#include <mpi.h>

/* A square matrix, some consecutive rows of it on each rank. */
struct matrix {
    MPI_Comm comm;
    int order;
    int rows;           /* of this rank */
    double *values;     /* rows x order */
    int *counts;        /* rows of every rank */
    int *displacements; /* first row of every rank */
};

/* The Hilbert matrix, 1 / (i + j + 1). Collective. Returns 0, or -1 when out of memory. */
int matrix_create(struct matrix *matrix, int order, MPI_Comm comm);
void matrix_free(struct matrix *matrix);

/* product = matrix * vector, both whole on every rank. Collective. */
void matrix_multiply(const struct matrix *matrix, const double *vector, double *product);

#endif
