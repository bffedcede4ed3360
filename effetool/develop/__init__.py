"""The author's loop: serve an effe while it is written, and ask it one thing.

loop      the parent: keeps the port, watches, starts a child for each save
interpreter_finder  the interpreter with what the effe declares, found or made aside
event     what the loop has to say
child     the program in which the author's code runs; stdlib and effetool.runtime only, Python >= 3.9
fault     what went wrong, where in the author's file; and how a client is told (page)
watch     which files, and whether they changed
port      listening, and who does so already
envfile   --env-file
httpfile  saved requests; record writes them
invoke    one request to a source, a file or a URL
"""
