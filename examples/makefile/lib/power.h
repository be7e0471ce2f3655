#ifndef POWER_H
#define POWER_H

#include "matrix.h"

/* The largest eigenvalue by power iteration, until it changes by less than `tolerance` or
   `limit` iterations are done. Collective. Returns 0, or -1 when out of memory. */
int power_iteration(const struct matrix *matrix, double tolerance, int limit, double *eigenvalue,
                    int *iterations);

#endif
