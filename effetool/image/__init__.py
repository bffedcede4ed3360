"""Make an OCI image of an artefact: no daemon, no root, no other program.

`build.build_image` is the operation. `application` reads the .pex, `compiled` compiles it, `layer` writes tars whose
bytes depend on their content alone, `store` keeps blobs, `config` and `layout` are the formats, `base`, `debian` and
`rootfs` what an image stands on, `registry` and `push` the way out, `engines` and `containerfile` the way through an
engine.
"""
