//! Enums whose variants have named fields, with their canonical codec.

/// Declares an enum of nodes: each variant has a tag byte, then its fields in order.
macro_rules! nodes {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$vmeta:meta])* $tag:literal $variant:ident $({ $( $(#[$fmeta:meta])* $field:ident : $t:ty ),* $(,)? })? , )*
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $( $(#[$vmeta])* $variant $({ $( $(#[$fmeta])* $field : $t ),* })? ),*
        }

        impl $name {
            /// The node's name in text and messages.
            pub fn name(&self) -> &'static str {
                match self {
                    $( $name::$variant $({ $( $field: _ ),* })? => stringify!($variant), )*
                }
            }
        }

        impl wire::Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( $name::$variant $({ $( $field ),* })? => {
                        out.push($tag);
                        $( $( wire::Encode::encode($field, out); )* )?
                    } )*
                }
            }
        }

        impl wire::Decode for $name {
            const SIZE_MIN: usize = 1;
            fn decode(r: &mut wire::Reader<'_>) -> Result<Self, wire::DecodeError> {
                match <u8 as wire::Decode>::decode(r)? {
                    $( $tag => Ok($name::$variant $({ $( $field: <$t as wire::Decode>::decode(r)? ),* })?), )*
                    tag => Err(wire::DecodeError::Tag { what: stringify!($name), tag: tag.into() }),
                }
            }
        }
    };
}

pub(crate) use nodes;
