//! The encoding of the wire: MessagePack values, the envelope of MessagePack-RPC, checksums, and the division of a stream of bytes into
//! messages. It knows no method and no state of a connection.

pub(crate) mod checksum;
pub(crate) mod envelope;
pub(crate) mod message_decoder;
pub(crate) mod output_buffer;
pub(crate) mod reader;
pub(crate) mod scan;
