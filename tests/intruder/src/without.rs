//! A kernel that seems to lack something: a filter answers a system call as if
//! it were not there, and stays over every program that is started.
#![expect(unsafe_code, reason = "installing the filter is a system call")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// `ioctl(PAGEMAP_SCAN)`, by which instances are reset the quick way.
pub(crate) const PAGEMAP_SCAN: u32 = 0xC060_6610;

/// A call that is answered as a kernel does that does not have it, where every
/// condition on its arguments holds.
struct Refusal {
    call: libc::c_long,
    conditions: &'static [Condition],
    errno: libc::c_int,
}

/// What the low half of an argument must be.
enum Condition {
    Is(u32, u32),
    IsNot(u32, u32),
}

use Condition::{Is, IsNot};

const fn refusal(
    call: libc::c_long,
    conditions: &'static [Condition],
    errno: libc::c_int,
) -> Refusal {
    Refusal {
        call,
        conditions,
        errno,
    }
}

/// What a kernel or a container answers that refuses a layer, by its name here.
fn refusals_of(layer: &str) -> Option<Vec<Refusal>> {
    /// `prctl`'s first argument.
    const SET_DUMPABLE: u32 = libc::PR_SET_DUMPABLE.unsigned_abs();
    const PARENT_DEATH: u32 = libc::PR_SET_PDEATHSIG.unsigned_abs();
    const NO_NEW_PRIVILEGES: u32 = libc::PR_SET_NO_NEW_PRIVS.unsigned_abs();
    const MDWE: u32 = 65;
    let own_user = refusal(libc::SYS_setresuid, &[], libc::EPERM);
    Some(match layer {
        "descriptors" => vec![refusal(libc::SYS_close_range, &[], libc::ENOSYS)],
        "user" => vec![own_user],
        "user-and-capabilities" => {
            vec![own_user, refusal(libc::SYS_capset, &[], libc::EPERM)]
        }
        "no-new-privileges" => vec![refusal(
            libc::SYS_prctl,
            &[Is(0, NO_NEW_PRIVILEGES)],
            libc::EPERM,
        )],
        "not-dumpable" => vec![refusal(
            libc::SYS_prctl,
            &[Is(0, SET_DUMPABLE), Is(1, 0)],
            libc::EPERM,
        )],
        "parent-death" => vec![refusal(
            libc::SYS_prctl,
            &[Is(0, PARENT_DEATH)],
            libc::EPERM,
        )],
        "landlock" => vec![refusal(
            libc::SYS_landlock_create_ruleset,
            &[],
            libc::ENOSYS,
        )],
        // Not where limits are only asked for.
        "limits" => vec![refusal(libc::SYS_prlimit64, &[IsNot(2, 0)], libc::EPERM)],
        "write-xor-execute" => vec![refusal(libc::SYS_prctl, &[Is(0, MDWE)], libc::EINVAL)],
        "filter" => vec![refusal(libc::SYS_seccomp, &[], libc::ENOSYS)],
        "scan" => vec![refusal(
            libc::SYS_ioctl,
            &[Is(1, PAGEMAP_SCAN)],
            libc::ENOTTY,
        )],
        _ => return None,
    })
}

/// Runs `program` in this process's place. Comes back only with an error.
pub(crate) fn run(layer: &str, program: &[String]) -> io::Error {
    let [program, arguments @ ..] = program else {
        return io::Error::other("usage: intruder without LAYER PROGRAM [ARGUMENT…]");
    };
    match hide(layer) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

/// From here on the kernel seems to lack a layer, to this process and to those it starts.
pub(crate) fn hide(layer: &str) -> io::Result<()> {
    let refusals = refusals_of(layer).ok_or_else(|| io::Error::other("there is no such layer"))?;
    let filter = refusals.iter().map(|refusal| {
        let answer = libc::SECCOMP_RET_ERRNO | refusal.errno.unsigned_abs();
        steps_over(refusal.call, refusal.conditions, answer)
    });
    let filter: Option<Vec<Vec<libc::sock_filter>>> = filter.collect();
    let Some(mut filter) = filter.map(|steps| steps.concat()) else {
        return Err(io::Error::other("no filter can be written"));
    };
    filter.push(ALLOW);
    install(filter)
}

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

const ALLOW: libc::sock_filter = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);

/// `if nr == call && conditions { answer }`; whatever else goes on behind it.
fn steps_over(
    call: libc::c_long,
    conditions: &[Condition],
    answer: u32,
) -> Option<Vec<libc::sock_filter>> {
    /// Where the low half of the first argument is, and how far it is to the next.
    const ARGUMENTS_AT: u32 = 16;
    const ARGUMENT_BYTES: u32 = 8;
    // How many steps of this block are left behind one.
    let mut left = u8::try_from(2 * conditions.len() + 1).ok()?;
    let mut steps = vec![
        step(LOAD, 0, 0, 0),
        step(JUMP_EQUAL, 0, left, u32::try_from(call).ok()?),
    ];
    for condition in conditions {
        let (Is(argument, value) | IsNot(argument, value)) = condition;
        left = left.checked_sub(2)?;
        let (equal, other) = match condition {
            Is(..) => (0, left),
            IsNot(..) => (left, 0),
        };
        steps.push(step(LOAD, 0, 0, ARGUMENTS_AT + argument * ARGUMENT_BYTES));
        steps.push(step(JUMP_EQUAL, equal, other, *value));
    }
    steps.push(step(RETURN, 0, 0, answer));
    Some(steps)
}

/// `if nr == ioctl && args[1] == request { answer } else { allow }`.
pub(crate) fn steps_over_ioctl(request: u32, answer: u32) -> Option<Vec<libc::sock_filter>> {
    let mut steps = steps_over(libc::SYS_ioctl, &[Is(1, request)], answer)?;
    steps.push(ALLOW);
    Some(steps)
}

/// Puts a filter over this process. By `prctl`, so that it can be put over
/// `seccomp` itself.
fn install(mut steps: Vec<libc::sock_filter>) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(io::Error::other)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: numbers, and a pointer to instructions that live beyond the call.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    };
    if installed {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
