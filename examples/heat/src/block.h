#ifndef BLOCK_H
#define BLOCK_H

#include "plate.h"

#include <mpi.h>

/* One rank's part of the plate, with a frame of halo cells that mirror the neighbours' cells
   or, at the rim of the plate, hold the edge's temperature. */
struct block {
    MPI_Comm grid;               /* the Cartesian communicator of all blocks */
    int up, down, left, right;   /* neighbours' ranks, MPI_PROC_NULL at the rim */
    int first_row, first_column; /* where this block begins on the plate */
    int rows, columns;           /* without the halo */
    double *now, *next;          /* (rows + 2) x (columns + 2) temperatures, row by row */
    MPI_Datatype column;         /* one column of the block */
};

/* Collective over `grid`, which must have two dimensions. Returns 0, or -1 when out of memory. */
int block_create(struct block *block, MPI_Comm grid, const struct plate *plate);
void block_free(struct block *block);

/* Brings the halo of `now` up to date. Collective. */
void block_exchange_halo(struct block *block);

/* One Jacobi step over this block; returns the largest change of a cell. */
double block_step(struct block *block);

/* The sum of this block's temperatures. */
double block_sum(const struct block *block);

/* Writes the block as text. Returns 0, or -1 after a message on stderr. */
int block_write(const struct block *block, const char *path);

#endif
