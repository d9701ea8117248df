// SPDX-License-Identifier: Apache-2.0
// The peer of skep's ring-buffer stream. Usage: consume OBJECT epoll|tick
// Prints the id of the program that produces; reads until SIGTERM; prints
// "events sum cpu_ns" where sum adds up one field of every record it copied.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct event {
	uint64_t time, sequence;
	uint32_t pid, cpu;
	uint64_t value;
	char comm[16];
};

static volatile sig_atomic_t stop;
static struct event copy;
static uint64_t events, sum;

static void on_signal(int number)
{
	stop = 1;
}

static int on_event(void *context, void *data, size_t size)
{
	memcpy(&copy, data, sizeof(copy));
	events++;
	sum += copy.value;
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ull +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ull;
}

int main(int argc, char **argv)
{
	struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);
	struct ring_buffer *ring;
	uint64_t start;

	signal(SIGTERM, on_signal);
	if (!object || bpf_object__load(object))
		return 1;
	bpf_obj_get_info_by_fd(bpf_program__fd(bpf_object__find_program_by_name(object, "produce")), &info, &length);
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), on_event, NULL, NULL);
	if (!ring)
		return 1;
	printf("%u\n", info.id);
	fflush(stdout);
	start = cpu_ns();
	while (!stop) {
		if (!strcmp(argv[2], "epoll")) {
			ring_buffer__poll(ring, 100);
		} else {
			struct timespec tick = { .tv_nsec = 5000000 };

			nanosleep(&tick, NULL);
			ring_buffer__consume(ring);
		}
	}
	ring_buffer__consume(ring);
	printf("%llu %llu %llu\n", (unsigned long long)events, (unsigned long long)sum,
	       (unsigned long long)(cpu_ns() - start));
	ring_buffer__free(ring);
	bpf_object__close(object);
	return 0;
}
