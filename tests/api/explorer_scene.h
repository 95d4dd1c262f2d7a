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

/* A job of few steps, with networks of 4000 and 100 steps as evaluators. */
dfq_explorer_options dfqt_short_job(void);
/* A job whose area is limited to 0.6 mm2, with four steps of the solver. */
dfq_status dfqt_create_explorer(const dfq_explorer_options *o, dfq_explorer **out);

#endif
