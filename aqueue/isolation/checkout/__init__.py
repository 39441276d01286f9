"""The program that runs before and after an attempt's command: it makes the checkout and saves the outputs.

    python -I -S checkout/__main__.py make ATTEMPT
    python -I -S checkout/__main__.py finish ATTEMPT EXIT_CODE

The attempt's own shell script starts it, so it needs no server. The file `ATTEMPT.plan` says what to do. The
program imports only the standard library and this package, and little of it: it starts up to twice for each
attempt.

A checkout is a repository of its own that borrows the objects of the user's: nothing done in it changes the user's
repository, or the checkout of another run. Git writes its files as the user's repository is configured, so line
endings and filters, such as Git LFS, work as they do there. The program writes nothing to the user's repository.

Read `program`, `make` and `finish` first.
"""
