#ifndef INTEGRATE_H
#define INTEGRATE_H

/* The midpoint rule for f on [0, 1] with `intervals` intervals, of which this call
   takes first, first + stride, first + 2 * stride, ... */
double integrate(double (*f)(double), long intervals, long first, long stride);

#endif
