//! Files that are replaced atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Makes `bytes` the content of the file at `path`, atomically.
///
/// # Errors
/// As [`replace`].
pub(crate) fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    replace(path.as_ref(), |file| file.write_all(bytes))
}

/// Replaces the file at `path` with what `fill` writes: into a temporary file beside it, which is synced and then
/// renamed.
///
/// # Errors
/// [`Error::Io`]; what lay at `path` is then whole and the temporary file is gone.
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    replace_io(path, fill).map_err(|e| Error::io(path, e))
}

fn replace_io(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not the path of a file"))?;
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (temporary, file) = create_beside(parent, &name.to_string_lossy())?;
    let written = (|| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        fill(&mut file)?;
        // Closed before it is renamed: Windows refuses to rename open files.
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error counts; the temporary file may be gone already.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_directory(parent)
}

fn create_beside(parent: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut attempt = 0u32;
    loop {
        let path = parent.join(format!(".{name}.{}-{attempt}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => attempt += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Makes a rename in `directory` last, where the file system can.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(directory)?.sync_all() {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn entries(dir: &TempDir) -> Vec<String> {
        let names = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("state.json");
        write_atomic(&path, b"old").unwrap();
        let failed = replace(&path, |file| {
            file.write_all(&[b'x'; 3 << 20])?;
            Err(io::Error::new(ErrorKind::StorageFull, "full"))
        });
        assert_eq!(
            failed.unwrap_err().to_string(),
            format!("{}: full", path.display())
        );
        assert_eq!(
            (fs::read(&path).unwrap(), entries(&dir)),
            (b"old".to_vec(), vec!["state.json".to_owned()])
        );
        write_atomic(&path, b"new").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), entries(&dir)),
            (b"new".to_vec(), vec!["state.json".to_owned()])
        );
    }

    #[test]
    fn what_cannot_be_replaced_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let target = dir.path().join("directory");
        fs::create_dir(&target).unwrap();
        for path in [
            target,
            dir.path().join("missing/w.json"),
            dir.path().join(".."),
        ] {
            let error = write_atomic(&path, b"x").unwrap_err();
            assert!(
                matches!(&error, Error::Io { path: p, .. } if *p == path),
                "{error}"
            );
            assert_eq!(entries(&dir), ["directory"]);
        }
    }

    #[test]
    fn a_leftover_temporary_file_is_not_in_the_way() {
        let dir = TempDir::new().unwrap();
        let leftover = dir
            .path()
            .join(format!(".w.json.{}-0.tmp", std::process::id()));
        fs::write(&leftover, b"other").unwrap();
        write_atomic(dir.path().join("w.json"), b"new").unwrap();
        assert_eq!(fs::read(&leftover).unwrap(), b"other");
        assert_eq!(fs::read(dir.path().join("w.json")).unwrap(), b"new");
    }
}
