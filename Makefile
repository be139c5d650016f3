# syncline - see README. `make help` lists what can be made.

CC        ?= gcc
B         ?= build
PREFIX    ?= /usr
DESTDIR   ?=
VERSION   := 0.1.0

# The MySQL client: MariaDB Connector/C by default; MYSQL_CLIENT=mysqlclient takes Oracle's.
MYSQL_CLIENT ?= libmariadb
PC           := pkg-config
LIBS_MYSQL   := $(shell $(PC) --libs $(MYSQL_CLIENT))
INC_MYSQL    := $(shell $(PC) --cflags $(MYSQL_CLIENT))

LIBS_PGSQL   := $(shell $(PC) --libs libpq)
INC_PGSQL    := $(shell $(PC) --cflags libpq)

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wswitch-enum -Werror
OPT    ?= -O2 -g
SAN    ?=
CFLAGS ?=
ALL_CFLAGS  := -std=c11 -I. -DSYNCLINE_VERSION='"$(VERSION)"' -DSYNCLINE_LIBEXEC='"$(PREFIX)/libexec/syncline"' \
	-pthread -fno-omit-frame-pointer -ffunction-sections $(WARN) $(OPT) $(SAN) $(INC_MYSQL) $(INC_PGSQL) $(CFLAGS)
# What a program does not call is not in it; t/007 finds what none calls.
ALL_LDFLAGS := -pthread -Wl,--gc-sections $(SAN) $(LDFLAGS)

# FAILPOINTS=1 with a B of its own: see `failpoints` below and common/failpoint.h.
FAILPOINTS ?=
ALL_CFLAGS += $(if $(FAILPOINTS),-DSYNCLINE_FAILPOINTS)

# One short line a step; V=1 prints the commands.
V   ?=
say  = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)
link = $(call say,LINK) $(CC) $(ALL_LDFLAGS) $^ $(1) $(LIBS_COMMON) -o $@

LIBS_COMMON := -lxxhash -lz -lm
LIBS_SUPERVISOR := -lconfig -levent -lsqlite3 -lsystemd -ljansson
LIBS_WORKER := -lconfig -levent -ljansson -lzstd -lcrypto $(LIBS_MYSQL) $(LIBS_PGSQL)

# A room is a folder; every .c in it belongs to it. Programs are the files that hold main().
MAINS    := supervisor/synclined.c supervisor/syncline.c workers/reader/main.c workers/writer/main.c
ROOMS    := common common/mysql common/pgsql ipc supervisor supervisor/cli workers/reader workers/reader/mysql \
	workers/reader/pgsql workers/reader/fake workers/writer workers/writer/mysql workers/writer/pgsql workers/writer/fake
SRC      := $(filter-out $(MAINS),$(wildcard $(addsuffix /*.c,$(ROOMS))))
OBJ      := $(SRC:%.c=$(B)/%.o)
MAIN_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard $(MAINS)))

COMMON_OBJ     := $(filter $(B)/common/%.o,$(OBJ))
BASE_OBJ       := $(filter-out $(B)/common/mysql/% $(B)/common/pgsql/%,$(COMMON_OBJ)) $(filter $(B)/ipc/%.o,$(OBJ))
ENGINE_OBJ     := $(filter $(B)/common/mysql/%.o $(B)/common/pgsql/%.o,$(OBJ))
SUPERVISOR_OBJ := $(filter $(B)/supervisor/%.o,$(OBJ))
READER_OBJ     := $(filter $(B)/workers/reader/%.o,$(OBJ))
WRITER_OBJ     := $(filter $(B)/workers/writer/%.o,$(OBJ))
PROGRAMS       := $(B)/synclined $(B)/syncline $(B)/syncline-reader $(B)/syncline-writer

UNIT_SRC  := $(wildcard t/unit/*.c)
SIM_SRC   := $(wildcard t/sim/*_sim.c)
TOOL_SRC  := $(wildcard t/tools/*.c)
BENCH_SRC := $(wildcard bench/*.c)
FUZZ_SRC  := $(wildcard t/fuzz/*.c)
TESTS     := $(UNIT_SRC:%.c=$(B)/%)
TOOLS     := $(SIM_SRC:%.c=$(B)/%) $(TOOL_SRC:%.c=$(B)/%) $(BENCH_SRC:%.c=$(B)/%)
PRELOAD   := $(patsubst %.c,$(B)/%.so,$(wildcard t/preload/*.c))

.PHONY: all help deps tests failpoints run-tests check check-versions check-asan check-faults check-tsan run-fuzz fuzz bench bench-deps demo install format lint analyze clean
.SECONDARY:

all: $(PROGRAMS)

help:
	@sed -n 's/^#: //p' Makefile

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/synclined: $(B)/supervisor/synclined.o $(filter-out $(B)/supervisor/cli/%,$(SUPERVISOR_OBJ)) $(BASE_OBJ)
	$(call link,$(LIBS_SUPERVISOR))
$(B)/syncline: $(B)/supervisor/syncline.o $(SUPERVISOR_OBJ) $(BASE_OBJ)
	$(call link,$(LIBS_SUPERVISOR))
$(B)/syncline-reader: $(B)/workers/reader/main.o $(READER_OBJ) $(ENGINE_OBJ) $(BASE_OBJ)
	$(call link,$(LIBS_WORKER))
$(B)/syncline-writer: $(B)/workers/writer/main.o $(WRITER_OBJ) $(ENGINE_OBJ) $(BASE_OBJ)
	$(call link,$(LIBS_WORKER))

# Tests may look into every room; the tool's own is a program's.
TEST_OBJ := $(filter-out $(B)/supervisor/cli/%,$(OBJ))
$(B)/t/unit/%: $(B)/t/unit/%.o $(TEST_OBJ)
	$(call link,-lcmocka $(LIBS_SUPERVISOR) $(LIBS_WORKER))
$(B)/t/sim/apply_sim: $(B)/t/sim/database.o
$(B)/t/sim/%: $(B)/t/sim/%.o $(TEST_OBJ)
	$(call link,$(LIBS_SUPERVISOR) $(LIBS_WORKER))
$(B)/t/tools/%: $(B)/t/tools/%.o $(TEST_OBJ)
	$(call link,$(LIBS_SUPERVISOR) $(LIBS_WORKER))
$(B)/t/preload/%.so: t/preload/%.c
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(filter-out $(SAN),$(ALL_CFLAGS)) -fPIC -shared $< -o $@ -ldl
$(B)/bench/%: $(B)/bench/%.o $(TEST_OBJ)
	$(call link,$(LIBS_SUPERVISOR) $(LIBS_WORKER))

#: make deps        install what building and testing needs (Debian 12; root or sudo)
#: make all         the four programs, into build/
#: make check       install, build, run every test
#: make check-versions  the pair on every server version; FULL=1: types, DDL and kills on each
#: make check-asan  unit tests, simulator and an end-to-end run under ASan and UBSan
#: make check-faults SEED=n MINUTES=n   random faults for as long as wanted (10)
#: make check-tsan  the ring under TSan
#: make fuzz        every fuzzer for FUZZ_SECONDS (60)
#: make bench       figures beside those of others; ONLY=list names them
#: make demo        a shop database, synchronized before your eyes
#: make lint        formatting and the rules of the house
#: make analyze     the paths through each source file, by clang's analyzer
#: make format      what clang-format makes of it
#: make install     programs, configuration, manual pages under DESTDIR and PREFIX
PACKAGES := build-essential pkg-config libmariadb-dev libconfig-dev libevent-dev libsqlite3-dev libjansson-dev libssl-dev \
	libpq-dev zlib1g-dev libzstd-dev libxxhash-dev libsystemd-dev libcmocka-dev clang libclang-rt-14-dev clang-format perl \
	libdbd-mariadb-perl mariadb-server mariadb-client libdbd-pg-perl postgresql-15 maven default-jdk-headless unzip mandoc
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo)
# npm comes with some packages of nodejs, and these refuse Debian's.
PACKAGES += $(if $(shell command -v npm),,npm)
MISSING   = $(shell dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(PACKAGES) 2>/dev/null | \
	awk '$$2 == "installed" { have[$$1] } END { n = split("$(PACKAGES)", p, " "); for (i = 1; i <= n; i++) if (!(p[i] in have)) print p[i] }')

# Debian would make a PostgreSQL cluster and start it: tests have servers of their own.
NO_CLUSTER = /etc/postgresql-common/createcluster.conf
deps:
	@missing="$(MISSING)"; [ -z "$$missing" ] || { \
		[ -e $(NO_CLUSTER) ] || { $(SUDO) mkdir -p $(dir $(NO_CLUSTER)) && \
			echo 'create_main_cluster = false' | $(SUDO) tee $(NO_CLUSTER) >/dev/null; } && \
		$(SUDO) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -q \
			-o Dpkg::Options::=--force-confold --no-install-recommends $$missing; }

tests: $(TESTS) $(TOOLS) $(PRELOAD)

# What t/70x run: the same programs with common/failpoint.h's places in them.
failpoints:
	+$(MAKE) B=build-failpoints FAILPOINTS=1 all

# The tests' servers write into memory where it has room for them: no test is about the disk, and some disks are slow.
ifndef TMPDIR
export TMPDIR := $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 6000000 ] 2>/dev/null && echo /dev/shm || echo /tmp)
endif

# Servers listen on free ports in temporary directories: two tests at a time are fine.
JOBS ?= 2
run-tests: all tests failpoints
	CMOCKA_MESSAGE_OUTPUT=TAP prove -e '' $(TESTS)
	SYNCLINE_BUILD=$(abspath $(B)) prove -j$(JOBS) $(sort $(wildcard t/*.t))

check: deps
	$(MAKE) run-tests

check-versions: deps all tests
	SYNCLINE_BUILD=$(abspath $(B)) t/check-versions

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
check-asan: deps
	$(MAKE) B=build-asan SAN="$(ASAN)" OPT="-O1 -g" all tests
	CMOCKA_MESSAGE_OUTPUT=TAP prove -e '' $(UNIT_SRC:%.c=build-asan/%)
	ASAN_OPTIONS=detect_leaks=0 SYNCLINE_BUILD=$(abspath build-asan) \
		prove $(wildcard t/120_simulator.t) t/210_fake_kills.t t/610_mysql_pairs.t t/615_mysql_log_schema.t

MINUTES ?= 10
check-faults: deps
	$(MAKE) failpoints
	MINUTES=$(MINUTES) prove -v t/730_soak.t

check-tsan: deps
	$(MAKE) B=build-tsan SAN="-fsanitize=thread" OPT="-O1 -g" all tests
	build-tsan/t/tools/ring_tsan
	TSAN_OPTIONS=halt_on_error=1 SYNCLINE_BUILD=$(abspath build-tsan) prove t/210_fake_kills.t

FUZZ_SECONDS ?= 60
FUZZERS := $(FUZZ_SRC:%.c=build-fuzz/%)
build-fuzz/t/fuzz/%: t/fuzz/%.c $(filter-out supervisor/cli/%,$(SRC))
	@mkdir -p $(@D)
	$(call say,FUZZ) clang $(filter-out -fno-omit-frame-pointer,$(ALL_CFLAGS)) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $^ \
		$(LIBS_SUPERVISOR) $(LIBS_WORKER) $(LIBS_COMMON) -o $@
run-fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do echo "fuzz $$f"; $$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -artifact_prefix=$$f. || exit 1; done
fuzz: deps
	$(MAKE) run-fuzz

# What stands beside us is not needed to build or to test. ONLY=NAME (or list), SCALE=0.1, RUNS=5.
PEERS := mydumper pgloader postgresql-client
bench-deps: deps
	@$(MAKE) --no-print-directory deps PACKAGES="$(PEERS)"
bench: bench-deps
	$(MAKE) all $(BENCH_SRC:%.c=$(B)/%)
	SYNCLINE_BUILD=$(abspath $(B)) perl bench/bench.pl

demo: deps
	$(MAKE) all
	t/demo

SOURCES := $(SRC) $(MAINS) $(wildcard t/*/*.c bench/*.c) $(wildcard $(addsuffix /*.h,$(ROOMS)) t/*/*.h)
format:
	clang-format -i $(wildcard $(SOURCES))
# Paths through each source file, by clang. A warning fails.
ANALYSES := $(patsubst %.c,build-analyze/%.ok,$(SRC) $(MAINS))
build-analyze/%.ok: %.c $(wildcard $(addsuffix /*.h,$(ROOMS)))
	@mkdir -p $(@D)
	$(call say,ANALYZE) clang --analyze -Wno-everything -Xclang -analyzer-output=text -Xclang -analyzer-werror $(ALL_CFLAGS) $<
	@touch $@
analyze: $(ANALYSES)

lint:
	@clang-format --dry-run -Werror $(wildcard $(SOURCES))
	@! grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|system|alloca|gets)[ ]?\(' $(wildcard $(SRC) $(MAINS)) || \
		{ echo "lint: a banned call"; exit 1; }

install: all
	install -D -m 755 $(B)/synclined $(DESTDIR)$(PREFIX)/sbin/synclined
	install -D -m 755 $(B)/syncline $(DESTDIR)$(PREFIX)/bin/syncline
	install -D -m 755 $(B)/syncline-reader $(DESTDIR)$(PREFIX)/libexec/syncline/syncline-reader
	install -D -m 755 $(B)/syncline-writer $(DESTDIR)$(PREFIX)/libexec/syncline/syncline-writer
	for f in $(wildcard etc/*.conf); do install -D -m 640 $$f $(DESTDIR)/etc/syncline/$$(basename $$f); done
	install -d -m 750 $(DESTDIR)/etc/syncline/conf.d
	for f in $(wildcard etc/*.service); do install -D -m 644 $$f $(DESTDIR)/lib/systemd/system/$$(basename $$f); done
	for f in $(wildcard doc/*.[1-8]); do \
		install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/man/man$${f##*.}/$$(basename $$f); done

clean:
	rm -rf build build-*

-include $(OBJ:.o=.d) $(MAIN_OBJ:.o=.d) $(TESTS:=.d) $(TOOLS:=.d)
