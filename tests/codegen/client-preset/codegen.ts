import type { CodegenConfig } from '@graphql-codegen/cli'

const config: CodegenConfig = {
  schema: '../schema.graphql',
  documents: 'src/*.ts',
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: { unmaskFunctionName: 'unmask' } },
      config: {
        enumsAsTypes: true,
        futureProofEnums: true,
        strictScalars: true,
        useTypeImports: true,
        scalars: {
          Cursor: 'string',
          DateTime: 'string',
          Long: 'number',
          Seq: 'number',
          URL: 'string',
          UUID: 'string',
        },
      },
    },
  },
}

export default config
