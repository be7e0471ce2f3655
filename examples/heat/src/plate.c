#include "plate.h"

#include <stdio.h>
#include <string.h>

static int set(struct plate *plate, const char *name, double value)
{
    if (strcmp(name, "rows") == 0) plate->rows = (int)value;
    else if (strcmp(name, "columns") == 0) plate->columns = (int)value;
    else if (strcmp(name, "max_steps") == 0) plate->max_steps = (int)value;
    else if (strcmp(name, "tolerance") == 0) plate->tolerance = value;
    else if (strcmp(name, "top") == 0) plate->top = value;
    else if (strcmp(name, "bottom") == 0) plate->bottom = value;
    else if (strcmp(name, "left") == 0) plate->left = value;
    else if (strcmp(name, "right") == 0) plate->right = value;
    else return -1;
    return 0;
}

static int read_lines(FILE *file, const char *path, struct plate *plate)
{
    char line[200], name[32];
    double value;

    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " \t")] == '\0')
            continue;
        if (sscanf(line, "%31s %lf", name, &value) != 2 || set(plate, name, value) != 0) {
            fprintf(stderr, "%s: not a setting: %s\n", path, line);
            return -1;
        }
    }
    if (plate->rows < 1 || plate->columns < 1 || plate->max_steps < 1) {
        fprintf(stderr, "%s: rows, columns and max_steps must be at least 1\n", path);
        return -1;
    }
    return 0;
}

int plate_read(const char *path, struct plate *plate)
{
    FILE *file = fopen(path, "r");
    int result;

    if (!file) {
        perror(path);
        return -1;
    }
    memset(plate, 0, sizeof *plate);
    result = read_lines(file, path, plate);
    fclose(file);
    return result;
}
