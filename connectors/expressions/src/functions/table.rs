//! Names, styles and argument counts: what the checker needs to know.

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `f(x)`
    Global,
    /// `x.f()`
    Method,
    /// Either way.
    Both,
}

/// A function's row: how it is called, and how many arguments it takes, a
/// method's target included.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) function: Function,
    pub(crate) name: &'static str,
    pub(crate) style: Style,
    pub(crate) arguments: std::ops::RangeInclusive<usize>,
}

macro_rules! functions {
    ($($function:ident $name:literal $style:ident $min:literal $max:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Function { $($function,)* }

        impl Function {
            /// The function under its name.
            pub(crate) fn of(name: &str) -> Option<Self> {
                Some(match name { $($name => Self::$function,)* _ => return None })
            }

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$function => $name,)* }
            }
        }

        /// Every function.
        pub(crate) const TABLE: &[Row] = &[$(Row {
            function: Function::$function,
            name: $name,
            style: Style::$style,
            arguments: $min..=$max,
        },)*];
    };
}

functions! {
    Size "size" Both 1 1;
    String "string" Global 1 1;
    Int "int" Global 1 1;
    Double "double" Global 1 1;
    Bool "bool" Global 1 1;
    Bytes "bytes" Global 1 1;
    StartsWith "startsWith" Method 2 2;
    EndsWith "endsWith" Method 2 2;
    Contains "contains" Method 2 2;
    LowerAscii "lowerAscii" Method 1 1;
    UpperAscii "upperAscii" Method 1 1;
    Trim "trim" Method 1 1;
    Split "split" Method 2 2;
    Join "join" Method 1 2;
    Replace "replace" Method 3 3;
    IndexOf "indexOf" Method 2 2;
    Substring "substring" Method 2 3;
    Sum "sum" Both 1 1;
    Min "min" Both 1 16;
    Max "max" Both 1 16;
    Round "round" Both 1 1;
    Json "json" Global 1 1;
    ToJson "toJson" Both 1 1;
    Base64Encode "base64.encode" Global 1 1;
    Base64Decode "base64.decode" Global 1 1;
}
