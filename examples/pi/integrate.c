#include "integrate.h"

double integrate(double (*f)(double), long intervals, long first, long stride)
{
    const double width = 1.0 / (double)intervals;
    double sum = 0.0;

    for (long i = first; i < intervals; i += stride)
        sum += f(width * ((double)i + 0.5));
    return width * sum;
}
