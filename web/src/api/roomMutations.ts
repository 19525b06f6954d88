/** Mutations of rooms, members, and the viewer's preferences. */
import { Errors } from "./accounts";
import { graphql } from "./graphql";

export const CreateRoom = graphql(
  `
    mutation CreateRoom($input: CreateRoomInput!) {
      createRoom(input: $input) {
        ...Errors
        room {
          id
        }
      }
    }
  `,
  [Errors],
);

export const UpdateRoom = graphql(
  `
    mutation UpdateRoom($input: UpdateRoomInput!) {
      updateRoom(input: $input) {
        ...Errors
        room {
          id
        }
      }
    }
  `,
  [Errors],
);

export const OpenDirectMessage = graphql(
  `
    mutation OpenDirectMessage($input: OpenDirectMessageInput!) {
      openDirectMessage(input: $input) {
        ...Errors
        room {
          id
        }
      }
    }
  `,
  [Errors],
);

export const JoinRoom = graphql(
  `
    mutation JoinRoom($input: JoinRoomInput!) {
      joinRoom(input: $input) {
        ...Errors
        room {
          id
        }
      }
    }
  `,
  [Errors],
);

export const LeaveRoom = graphql(
  `
    mutation LeaveRoom($input: LeaveRoomInput!) {
      leaveRoom(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const ArchiveRoom = graphql(
  `
    mutation ArchiveRoom($input: ArchiveRoomInput!) {
      archiveRoom(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const UnarchiveRoom = graphql(
  `
    mutation UnarchiveRoom($input: UnarchiveRoomInput!) {
      unarchiveRoom(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const AddMembers = graphql(
  `
    mutation AddMembers($input: AddMembersInput!) {
      addMembers(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const RemoveMember = graphql(
  `
    mutation RemoveMember($input: RemoveMemberInput!) {
      removeMember(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const SetMemberRole = graphql(
  `
    mutation SetMemberRole($input: SetMemberRoleInput!) {
      setMemberRole(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const MuteMember = graphql(
  `
    mutation MuteMember($input: MuteMemberInput!) {
      muteMember(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const CreateInvite = graphql(
  `
    mutation CreateInvite($input: CreateInviteInput!) {
      createInvite(input: $input) {
        ...Errors
        invite {
          code
          url
        }
      }
    }
  `,
  [Errors],
);

export const SetRoomPreferences = graphql(
  `
    mutation SetRoomPreferences($input: SetRoomPreferencesInput!) {
      setRoomPreferences(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);
