// SPDX-License-Identifier: LGPL-3.0-or-later

// Made from windows_redirector.h by rust/generate.sh.

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// an argument is not valid
    InvalidArgument,
    /// a port number is above 65535
    PortInvalid,
    /// no port is given, so there is nothing to redirect
    NoPort,
    /// no such process
    NoSuchProcess,
    /// the process cannot be opened
    ProcessDenied,
    /// the redirector is already running in this process
    AlreadyRunning,
    /// the redirector is not running
    NotRunning,
    /// there is no such connection
    NotFound,
    /// administrator rights are needed
    NotElevated,
    /// WinDivert.dll was not found
    DllNotFound,
    /// this WinDivert.dll is not version 2.2
    DllVersion,
    /// WinDivert64.sys was not found
    DriverNotFound,
    /// Windows refused to load the WinDivert driver
    DriverBlocked,
    /// Windows does not accept the signature of WinDivert64.sys
    DriverSignature,
    /// another version of the WinDivert driver is loaded
    DriverConflict,
    /// the WinDivert service could not be started
    DriverService,
    /// the Base Filtering Engine service is not running
    BfeNotRunning,
    /// the WinDivert driver reported an error
    DriverFailed,
    /// out of memory
    NoMemory,
    /// the log file cannot be written
    LogFailed,
    /// not supported by this version
    Unsupported,
    /// the engine did not stop in time
    StoppedByForce,
    /// internal error
    Internal,
    /// the engine made no progress for 2 s, so its driver handles were closed and traffic flows directly
    EngineStalled,
    /// a connection of the library's own was not redirected, so none would be
    ProofFailed,
    /// a number that this version of the crate does not know
    Unknown(u32),
}

impl Status {
    pub(crate) fn from_number(number: u32) -> Status {
        match number {
            1 => Status::InvalidArgument,
            2 => Status::PortInvalid,
            3 => Status::NoPort,
            4 => Status::NoSuchProcess,
            5 => Status::ProcessDenied,
            6 => Status::AlreadyRunning,
            7 => Status::NotRunning,
            8 => Status::NotFound,
            9 => Status::NotElevated,
            10 => Status::DllNotFound,
            11 => Status::DllVersion,
            12 => Status::DriverNotFound,
            13 => Status::DriverBlocked,
            14 => Status::DriverSignature,
            15 => Status::DriverConflict,
            16 => Status::DriverService,
            17 => Status::BfeNotRunning,
            18 => Status::DriverFailed,
            19 => Status::NoMemory,
            20 => Status::LogFailed,
            21 => Status::Unsupported,
            22 => Status::StoppedByForce,
            23 => Status::Internal,
            24 => Status::EngineStalled,
            25 => Status::ProofFailed,
            _ => Status::Unknown(number),
        }
    }

    /// The name that the C library has for it, for instance `NO_SUCH_PROCESS`.
    pub fn name(self) -> &'static str {
        match self {
            Status::InvalidArgument => "INVALID_ARGUMENT",
            Status::PortInvalid => "PORT_INVALID",
            Status::NoPort => "NO_PORT",
            Status::NoSuchProcess => "NO_SUCH_PROCESS",
            Status::ProcessDenied => "PROCESS_DENIED",
            Status::AlreadyRunning => "ALREADY_RUNNING",
            Status::NotRunning => "NOT_RUNNING",
            Status::NotFound => "NOT_FOUND",
            Status::NotElevated => "NOT_ELEVATED",
            Status::DllNotFound => "DLL_NOT_FOUND",
            Status::DllVersion => "DLL_VERSION",
            Status::DriverNotFound => "DRIVER_NOT_FOUND",
            Status::DriverBlocked => "DRIVER_BLOCKED",
            Status::DriverSignature => "DRIVER_SIGNATURE",
            Status::DriverConflict => "DRIVER_CONFLICT",
            Status::DriverService => "DRIVER_SERVICE",
            Status::BfeNotRunning => "BFE_NOT_RUNNING",
            Status::DriverFailed => "DRIVER_FAILED",
            Status::NoMemory => "NO_MEMORY",
            Status::LogFailed => "LOG_FAILED",
            Status::Unsupported => "UNSUPPORTED",
            Status::StoppedByForce => "STOPPED_BY_FORCE",
            Status::Internal => "INTERNAL",
            Status::EngineStalled => "ENGINE_STALLED",
            Status::ProofFailed => "PROOF_FAILED",
            Status::Unknown(_) => "UNKNOWN",
        }
    }
}
