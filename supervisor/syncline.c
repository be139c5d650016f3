/* syncline.c - the tool: see cli/commands.c for what it knows. */
#include "common/compat.h"

#include <signal.h>

#include "supervisor/cli/cli.h"

int
main(int argc, char **argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	return command_main(argc, argv);
}
