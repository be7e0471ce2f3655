#include "power.h"

#include <math.h>
#include <stdlib.h>

static double norm(const double *vector, int length)
{
    double sum = 0.0;

    for (int i = 0; i < length; i++)
        sum += vector[i] * vector[i];
    return sqrt(sum);
}

int power_iteration(const struct matrix *matrix, double tolerance, int limit, double *eigenvalue,
                    int *iterations)
{
    const int order = matrix->order;
    double *vector = malloc((size_t)order * sizeof *vector);
    double *product = malloc((size_t)order * sizeof *product);
    double before = 0.0;

    if (!vector || !product) {
        free(vector);
        free(product);
        return -1;
    }
    for (int i = 0; i < order; i++)
        vector[i] = 1.0 / sqrt(order);

    *eigenvalue = 0.0;
    *iterations = 0;
    do {
        before = *eigenvalue;
        matrix_multiply(matrix, vector, product);
        *eigenvalue = norm(product, order);
        for (int i = 0; i < order; i++)
            vector[i] = product[i] / *eigenvalue;
        ++*iterations;
    } while (fabs(*eigenvalue - before) > tolerance && *iterations < limit);
    free(vector);
    free(product);
    return 0;
}
