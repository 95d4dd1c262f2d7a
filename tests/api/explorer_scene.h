/* What tests of an explorer need: a space of three cells, accelerators, pictures of two classes. */
#ifndef DFQT_EXPLORER_SCENE_H
#define DFQT_EXPLORER_SCENE_H

#include <dfq/dfq.h>

enum { SPACE, ACCEL, PICTURES, CHECKPOINT, FILES };

typedef struct dfqt_scene {
    dfq_context *context;
    dfq_dataset *pictures;
    dfq_accelerator *accel;
    char files[FILES][64];
} dfqt_scene;
extern dfqt_scene scene;

/* A fixture. */
void dfqt_scene_setup(void);
void dfqt_scene_teardown(void);

#endif
