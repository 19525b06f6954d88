/** Mutations of messages. Most of them return the changed message. */
import { ErrorFields } from "./accounts";
import { graphql } from "./graphql";
import { ViewerMessage } from "./messages";

export const SendMessage = graphql(
  `
    mutation SendMessage($input: SendMessageInput!) {
      sendMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const EditMessage = graphql(
  `
    mutation EditMessage($input: EditMessageInput!) {
      editMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const DeleteMessage = graphql(
  `
    mutation DeleteMessage($input: DeleteMessageInput!) {
      deleteMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const AddReaction = graphql(
  `
    mutation AddReaction($input: ReactionInput!) {
      addReaction(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const RemoveReaction = graphql(
  `
    mutation RemoveReaction($input: ReactionInput!) {
      removeReaction(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const PinMessage = graphql(
  `
    mutation PinMessage($input: MessageIdInput!) {
      pinMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const UnpinMessage = graphql(
  `
    mutation UnpinMessage($input: MessageIdInput!) {
      unpinMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [ErrorFields, ViewerMessage],
);

export const MarkRead = graphql(
  `
    mutation MarkRead($input: MarkReadInput!) {
      markRead(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const CreateUpload = graphql(
  `
    mutation CreateUpload($input: CreateUploadInput!) {
      createUpload(input: $input) {
        errors {
          ...ErrorFields
        }
        uploadId
        uploadUrl
        headers {
          name
          value
        }
      }
    }
  `,
  [ErrorFields],
);
