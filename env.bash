# Source this for a shell in which the workspace runs: `. env.bash` (bash; `./soft-flow setup` makes what it needs).
# In a shell where ROS 2 is sourced it only overlays that; otherwise ROS 2 comes from the wheels in .venv.
_soft_flow_root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$_soft_flow_root/.venv/bin/activate"
if [ -d "$VIRTUAL_ENV/share/ament_index" ]; then
    # The wheels are the underlay. (Taken out first, so that sourcing twice changes nothing.)
    for _soft_flow_name in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH; do
        _soft_flow_path=":${!_soft_flow_name:-}:"
        _soft_flow_path="${_soft_flow_path//:$VIRTUAL_ENV:/:}"
        _soft_flow_path="${_soft_flow_path#:}"; _soft_flow_path="${_soft_flow_path%:}"
        export "$_soft_flow_name=$VIRTUAL_ENV${_soft_flow_path:+:$_soft_flow_path}"
    done
    export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
    unset _soft_flow_name _soft_flow_path
fi
[ -f "$_soft_flow_root/install/setup.bash" ] && . "$_soft_flow_root/install/setup.bash"
export COLCON_DEFAULTS_FILE="${COLCON_DEFAULTS_FILE:-$_soft_flow_root/colcon-defaults.yaml}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
unset _soft_flow_root
