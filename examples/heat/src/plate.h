#ifndef PLATE_H
#define PLATE_H

/* What is computed: the plate, the temperatures of its edges, and when to stop. */
struct plate {
    int rows, columns;               /* cells between the edges */
    int max_steps;
    double tolerance;                /* stop when no cell changes by more, in degrees */
    double top, bottom, left, right; /* temperatures in degrees */
};

/* Reads lines of "name value"; "#" starts a comment. Returns 0, or -1 after a message on stderr. */
int plate_read(const char *path, struct plate *plate);

#endif
