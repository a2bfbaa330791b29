"""The `patchline` command, its settings and its wiring: its modules and rooms.

    cli, lazy_commands, commands   the table of commands; each command's options and what it prints
    settings, wiring, errors       what a command reads, what it is made of, how it ends
    trainer_commands               a command or a person's word to the trainer, and the event that answers it
    history                        what Kafka and the store hold of a view: decisions, dead letters, banks, groups
    offline                        banks and pictures in files, without Kafka
    local_stack, demo, bench       a broker and all services on this machine, and two uses of it
    evaluation                     `patchline evaluate`
    heat_map, place_on_frame       where a frame is suspicious; a place on it in words
    pictures                       the sheets that show it
    output                         progress, tables, rows and files that a command writes
    process                        logs, signals and extras of a process

grafana, prometheus, alertmanager, compose.yml and Dockerfile are what runs around the services.
"""
