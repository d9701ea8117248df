// SPDX-License-Identifier: Apache-2.0
// What is called by those who read our columns, in machine code, since it can be called when no
// Python code may run: with an exception pending, without the GIL, after the interpreter is gone.
// machine_code.py has the result for each machine; tests/unit/arrow/test_arrow_release.py compiles
// this file with the pinned compiler and compares. Structs: the Arrow C data interface.
typedef long long i64;
typedef void release(void *self);

struct api { // of the interpreter
	int (*is_initialized)(void), (*take_gil)(void);
	void (*drop)(void *object), (*give_gil)(int state);
};

struct hold { // private_data of all three structs, and what a capsule's context points at
	void *object;
	const struct api *api;
	release **slot; // of a capsule: where its struct has the release callback,
	void *self; // and the struct
};

struct array {
	i64 length, null_count, offset, n_buffers, n_children;
	const void **buffers;
	struct array **children, *dictionary;
	release *release;
	struct hold *hold;
};

struct schema {
	const char *format, *name, *metadata;
	i64 flags, n_children;
	struct schema **children, *dictionary;
	release *release;
	struct hold *hold;
};

struct stream {
	void *get_schema, *get_next, *get_last_error;
	release *release;
	struct hold *hold;
};

struct capsule {
	char header[HEADER];
	void *pointer;
	const char *name;
	struct hold *context;
};

// Dropping a plain container runs no Python code that would see the exception: __del__ and weak
// references put it aside themselves.
static inline __attribute__((always_inline)) void let_go(struct hold *hold)
{
	const struct api *api = hold->api;
	void *object = hold->object;
	int state;

	if (!api->is_initialized())
		return; // the process ends, and the memory with it
	state = api->take_gil();
	api->drop(object);
	api->give_gil(state);
}

#define RELEASE_CHILDREN(parent) \
	do { \
		for (i64 i = 0; i < (parent)->n_children; i++) \
			if ((parent)->children[i]->release) \
				(parent)->children[i]->release((parent)->children[i]); \
		if ((parent)->dictionary && (parent)->dictionary->release) \
			(parent)->dictionary->release((parent)->dictionary); \
		(parent)->release = 0; \
	} while (0)

void release_array(struct array *self)
{
	RELEASE_CHILDREN(self);
	let_go(self->hold);
}

void release_schema(struct schema *self)
{
	RELEASE_CHILDREN(self);
	let_go(self->hold);
}

void release_stream(struct stream *self)
{
	self->release = 0;
	let_go(self->hold);
}

void free_capsule(struct capsule *capsule)
{
	struct hold *hold = capsule->context;

	if (!hold)
		return; // it was never finished
	if (*hold->slot)
		(*hold->slot)(hold->self); // nobody has taken the struct
	let_go(hold);
}
