/** The door of `coord/`: see README.md. */
export {}
