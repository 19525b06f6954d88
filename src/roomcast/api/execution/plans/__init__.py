"""Plans: Python code that is generated for a selection, and completes the values of objects in place of graphql-core.

graphql-core walks the document again for each object: it looks up the field, builds `info` and a path, and asks at each
value what kind of type it has. All of this is the same for each object of a page. A plan has it decided once. On a page
of 50 messages it takes a seventh of the time of graphql-core's executor.

- A plan begins where a root field returns an object, or each object of its list: `executor.PlannedExecutor`.
  A field that was left out for each viewer to complete has a plan too.
- A plan never reports an error. Whatever is unusual (an exception of a resolver, a null where none may be, a type that
  was not expected, more than `run.MAX_FIELDS` fields) ends it, and graphql-core completes the same value from the
  start. So errors, and the nulls that they cause, are always graphql-core's own, and resolvers below a root field may
  run twice: they only read.
- Resolvers get an object that has only the attribute `context` of Strawberry's `Info`. Any other attribute is unusual.
- A value that is not there yet is awaited after all others of its level have been asked for. Rows of loaders need no
  task.
- A plan depends on the variables that `@skip` and `@include` use, and on nothing else that a client chooses. The only
  text of a client in the generated code is a response key, which is a GraphQL name.
- A selection gets its plan when it is executed the third time, so documents that are used once cost nothing more.
"""
