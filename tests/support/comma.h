/* A host that writes decimal commas. */
#ifndef DFQT_COMMA_H
#define DFQT_COMMA_H

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/skip.h"

/* Sets a locale with decimal commas for this process, built where the system has none; the test is
 * skipped where that cannot be done. */
static inline void dfqt_use_commas(void)
{
    char folder[] = "/tmp/dfq-locale-XXXXXX", command[160];
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && mkdtemp(folder) != NULL) {
        snprintf(command, sizeof command,
                 "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
        int rc = system(command);
        setenv("LOCPATH", folder, 1);
        if (rc == 0) setlocale(LC_ALL, "de_DE.UTF-8");
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command) != 0) ck_abort_msg("%s stays", folder);
    }
    if (strcmp(localeconv()->decimal_point, ",") != 0) dfqt_skip("no locale with decimal commas");
}

#endif
