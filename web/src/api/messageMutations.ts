/** Mutations of messages. Most of them return the changed message. */
import { Errors } from "./accounts";
import { graphql } from "./graphql";
import { ViewerMessage } from "./messages";

export const SendMessage = graphql(
  `
    mutation SendMessage($input: SendMessageInput!) {
      sendMessage(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const EditMessage = graphql(
  `
    mutation EditMessage($input: EditMessageInput!) {
      editMessage(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const DeleteMessage = graphql(
  `
    mutation DeleteMessage($input: DeleteMessageInput!) {
      deleteMessage(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const AddReaction = graphql(
  `
    mutation AddReaction($input: AddReactionInput!) {
      addReaction(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const RemoveReaction = graphql(
  `
    mutation RemoveReaction($input: RemoveReactionInput!) {
      removeReaction(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const PinMessage = graphql(
  `
    mutation PinMessage($input: PinMessageInput!) {
      pinMessage(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const UnpinMessage = graphql(
  `
    mutation UnpinMessage($input: UnpinMessageInput!) {
      unpinMessage(input: $input) {
        ...Errors
        message {
          ...ViewerMessage
        }
      }
    }
  `,
  [Errors, ViewerMessage],
);

export const MarkRead = graphql(
  `
    mutation MarkRead($input: MarkReadInput!) {
      markRead(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const MarkThreadRead = graphql(
  `
    mutation MarkThreadRead($input: MarkThreadReadInput!) {
      markThreadRead(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const CreateUpload = graphql(
  `
    mutation CreateUpload($input: CreateUploadInput!) {
      createUpload(input: $input) {
        ...Errors
        uploadId
        uploadUrl
        headers {
          name
          value
        }
      }
    }
  `,
  [Errors],
);
