/** Mutations of rooms, members, and the viewer's preferences. */
import { ErrorFields } from "./accounts";
import { graphql } from "./graphql";

export const CreateRoom = graphql(
  `
    mutation CreateRoom($input: CreateRoomInput!) {
      createRoom(input: $input) {
        errors {
          ...ErrorFields
        }
        room {
          id
        }
      }
    }
  `,
  [ErrorFields],
);

export const UpdateRoom = graphql(
  `
    mutation UpdateRoom($input: UpdateRoomInput!) {
      updateRoom(input: $input) {
        errors {
          ...ErrorFields
        }
        room {
          id
        }
      }
    }
  `,
  [ErrorFields],
);

export const OpenDirectMessage = graphql(
  `
    mutation OpenDirectMessage($input: OpenDirectMessageInput!) {
      openDirectMessage(input: $input) {
        errors {
          ...ErrorFields
        }
        room {
          id
        }
      }
    }
  `,
  [ErrorFields],
);

export const JoinRoom = graphql(
  `
    mutation JoinRoom($input: JoinRoomInput!) {
      joinRoom(input: $input) {
        errors {
          ...ErrorFields
        }
        room {
          id
        }
      }
    }
  `,
  [ErrorFields],
);

export const LeaveRoom = graphql(
  `
    mutation LeaveRoom($input: RoomIdInput!) {
      leaveRoom(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const ArchiveRoom = graphql(
  `
    mutation ArchiveRoom($input: RoomIdInput!) {
      archiveRoom(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const UnarchiveRoom = graphql(
  `
    mutation UnarchiveRoom($input: RoomIdInput!) {
      unarchiveRoom(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const AddMembers = graphql(
  `
    mutation AddMembers($input: AddMembersInput!) {
      addMembers(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const RemoveMember = graphql(
  `
    mutation RemoveMember($input: RemoveMemberInput!) {
      removeMember(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const SetMemberRole = graphql(
  `
    mutation SetMemberRole($input: SetMemberRoleInput!) {
      setMemberRole(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const MuteMember = graphql(
  `
    mutation MuteMember($input: MuteMemberInput!) {
      muteMember(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);

export const CreateInvite = graphql(
  `
    mutation CreateInvite($input: CreateInviteInput!) {
      createInvite(input: $input) {
        errors {
          ...ErrorFields
        }
        url
        code
      }
    }
  `,
  [ErrorFields],
);

export const SetRoomPreferences = graphql(
  `
    mutation SetRoomPreferences($input: SetRoomPreferencesInput!) {
      setRoomPreferences(input: $input) {
        errors {
          ...ErrorFields
        }
      }
    }
  `,
  [ErrorFields],
);
