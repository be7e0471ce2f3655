# lua: the tree as its build left it. What seldom changes has a layer of its own.
FROM registry.lab:5000/nap_openmpi_run@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
WORKDIR /app
ENV STACK="heroku-24"
ENV GREETING="say \"hi\" for \$5 \\ more"
CMD ["bash", "-c", "for file in .profile.d/*.sh; do [ -r \"$file\" ] && . \"$file\"; done; eval \"$1\"", "nap", "lua main.lua"]
USER 1000:1000
COPY --chown=1000:1000 program/ /
