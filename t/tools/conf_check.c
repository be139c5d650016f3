/*
 * conf_check.c - configuration files through conf_file, notes on standard output.
 *
 *     conf_check [-d] [-T] FILE...
 *
 * -d: they are the daemon's own files, else channels'; -T also prints what is
 * effective. Several channel files are read as one pattern's would be. Exit
 * status: 0, or 78 with an error.
 */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/conf_file.h"
#include "supervisor/conf_show.h"

/* The files as a pattern would give them. */
static void
read_channels(char **files, int n, bool show, struct conf_notes *notes, struct buf *out)
{
	struct channel_conf *all = calloc((size_t)n, sizeof *all);

	for (int i = 0; i < n && all != NULL; i++) {
		all[i].file = files[i];
		conf_file_channel(files[i], &all[i].conf, &all[i].id, notes);
		for (int k = 0; k < i; k++)
			if (all[k].conf != NULL && all[i].conf != NULL)
				conf_check_pair(&all[k], &all[i], notes);
	}
	for (int i = 0; i < n && all != NULL; i++) {
		if (show && all[i].conf != NULL)
			conf_print_effective(all[i].conf, channel_options(), out);
		conf_free(all[i].conf);
		free(all[i].id);
	}
	free(all);
}

static void
read_daemon(const char *file, bool show, struct conf_notes *notes, struct buf *out)
{
	struct conf *c;

	conf_file_daemon(file, true, &c, notes);
	if (show && c != NULL)
		conf_print_effective(c, daemon_options(), out);
	conf_free(c);
}

int
main(int argc, char **argv)
{
	struct conf_notes notes = {0};
	bool daemon = false, show = false;
	struct buf text, effective;
	int option, status;

	while ((option = getopt(argc, argv, "dT")) != -1) {
		if (option == '?')
			return 2;
		*(option == 'd' ? &daemon : &show) = true;
	}
	buf_init(&text);
	buf_init(&effective);
	if (daemon)
		for (int i = optind; i < argc; i++)
			read_daemon(argv[i], show, &notes, &effective);
	else
		read_channels(argv + optind, argc - optind, show, &notes, &effective);
	conf_notes_print(&notes, &text);
	printf("%s%s", buf_text(&text), buf_text(&effective));
	status = notes.errors != 0 ? rc_exit(RC_CONFIG) : 0;
	conf_notes_release(&notes);
	buf_release(&text);
	buf_release(&effective);
	return status;
}
