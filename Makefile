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

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wswitch-enum -Werror
OPT    ?= -O2 -g
SAN    ?=
CFLAGS ?=
ALL_CFLAGS  := -std=c11 -I. -DSYNCLINE_VERSION='"$(VERSION)"' -DSYNCLINE_LIBEXEC='"$(PREFIX)/libexec/syncline"' \
	-pthread -fno-omit-frame-pointer $(WARN) $(OPT) $(SAN) $(INC_MYSQL) $(CFLAGS)
ALL_LDFLAGS := -pthread $(SAN) $(LDFLAGS)

LIBS_COMMON := -lxxhash -lz -lm
LIBS_SUPERVISOR := -lconfig -levent -lsqlite3 -lsystemd -ljansson
LIBS_WORKER := -lconfig -levent -ljansson -lzstd -lcrypto $(LIBS_MYSQL)

# A room is a folder; every .c in it belongs to it. Programs are the files that hold main().
MAINS    := supervisor/synclined.c supervisor/syncline.c workers/reader/main.c workers/writer/main.c
ROOMS    := common common/mysql ipc supervisor supervisor/cli workers/reader workers/reader/mysql \
	workers/reader/fake workers/writer workers/writer/mysql workers/writer/fake
SRC      := $(filter-out $(MAINS),$(wildcard $(addsuffix /*.c,$(ROOMS))))
OBJ      := $(SRC:%.c=$(B)/%.o)
MAIN_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard $(MAINS)))

COMMON_OBJ     := $(filter $(B)/common/%.o,$(OBJ))
BASE_OBJ       := $(filter-out $(B)/common/mysql/%,$(COMMON_OBJ)) $(filter $(B)/ipc/%.o,$(OBJ))
ENGINE_OBJ     := $(filter $(B)/common/mysql/%.o,$(OBJ))
SUPERVISOR_OBJ := $(filter $(B)/supervisor/%.o,$(OBJ))
READER_OBJ     := $(filter $(B)/workers/reader/%.o,$(OBJ))
WRITER_OBJ     := $(filter $(B)/workers/writer/%.o,$(OBJ))
PROGRAMS       := $(B)/synclined $(B)/syncline $(B)/syncline-reader $(B)/syncline-writer

UNIT_SRC  := $(wildcard t/unit/*.c)
SIM_SRC   := $(wildcard t/sim/*.c)
TOOL_SRC  := $(wildcard t/tools/*.c)
BENCH_SRC := $(wildcard bench/*.c)
FUZZ_SRC  := $(wildcard t/fuzz/*.c)
TESTS     := $(UNIT_SRC:%.c=$(B)/%)
TOOLS     := $(SIM_SRC:%.c=$(B)/%) $(TOOL_SRC:%.c=$(B)/%) $(BENCH_SRC:%.c=$(B)/%)

.PHONY: all help deps tests check check-asan check-tsan fuzz bench demo install format lint clean
.SECONDARY:

all: $(PROGRAMS)

help:
	@sed -n 's/^#: //p' Makefile

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/synclined: $(B)/supervisor/synclined.o $(filter-out $(B)/supervisor/cli/%,$(SUPERVISOR_OBJ)) $(BASE_OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_SUPERVISOR) $(LIBS_COMMON) -o $@
$(B)/syncline: $(B)/supervisor/syncline.o $(SUPERVISOR_OBJ) $(BASE_OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_SUPERVISOR) $(LIBS_COMMON) -o $@
$(B)/syncline-reader: $(B)/workers/reader/main.o $(READER_OBJ) $(ENGINE_OBJ) $(BASE_OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_WORKER) $(LIBS_COMMON) -o $@
$(B)/syncline-writer: $(B)/workers/writer/main.o $(WRITER_OBJ) $(ENGINE_OBJ) $(BASE_OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_WORKER) $(LIBS_COMMON) -o $@

# Tests may look into every room.
$(B)/t/unit/%: $(B)/t/unit/%.o $(OBJ)
	$(CC) $(ALL_LDFLAGS) $^ -lcmocka $(LIBS_SUPERVISOR) $(LIBS_WORKER) $(LIBS_COMMON) -o $@
$(B)/t/sim/%: $(B)/t/sim/%.o $(OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_SUPERVISOR) $(LIBS_WORKER) $(LIBS_COMMON) -o $@
$(B)/t/tools/%: $(B)/t/tools/%.o $(OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_SUPERVISOR) $(LIBS_WORKER) $(LIBS_COMMON) -o $@
$(B)/bench/%: $(B)/bench/%.o $(OBJ)
	$(CC) $(ALL_LDFLAGS) $^ $(LIBS_SUPERVISOR) $(LIBS_WORKER) $(LIBS_COMMON) -o $@

tests: $(TESTS) $(TOOLS)

clean:
	rm -rf build build-*

-include $(OBJ:.o=.d) $(MAIN_OBJ:.o=.d) $(TESTS:=.d) $(TOOLS:=.d)
