/** What the page does to messages. Each answers with the message as it is now. */
import { Refused } from "./accounts";
import { graphql } from "./graphql";
import { OwnView } from "./messages";

export const Send = graphql(
  `
    mutation Send($input: SendMessageInput!) {
      sendMessage(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const Edit = graphql(
  `
    mutation Edit($input: EditMessageInput!) {
      editMessage(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const Delete = graphql(
  `
    mutation Delete($input: DeleteMessageInput!) {
      deleteMessage(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const React = graphql(
  `
    mutation React($input: ReactionInput!) {
      addReaction(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const Unreact = graphql(
  `
    mutation Unreact($input: ReactionInput!) {
      removeReaction(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const Pin = graphql(
  `
    mutation Pin($input: MessageIdInput!) {
      pinMessage(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const Unpin = graphql(
  `
    mutation Unpin($input: MessageIdInput!) {
      unpinMessage(input: $input) {
        errors {
          ...Refused
        }
        message {
          ...OwnView
        }
      }
    }
  `,
  [Refused, OwnView],
);

export const MarkRead = graphql(
  `
    mutation MarkRead($input: MarkReadInput!) {
      markRead(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const NewUpload = graphql(
  `
    mutation NewUpload($input: CreateUploadInput!) {
      createUpload(input: $input) {
        errors {
          ...Refused
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
  [Refused],
);
